"""Airflow's configuration for tests in this process; must be in place before `airflow` is imported."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from scripts.airflow_local import LocalAirflow


@cache
def configured() -> LocalAirflow:
    """Sets this process's environment once; the home folder lives as long as the process."""
    # The object is kept by the cache; its finaliser removes the folder when the process ends.
    folder = _FOLDERS.setdefault("home", tempfile.TemporaryDirectory(prefix="outfeed-airflow-"))
    local = LocalAirflow(
        home=Path(folder.name),
        dags_folder=Path(folder.name) / "dags",
        settings_file=None,
    )
    (local.dags_folder / "customers").mkdir(parents=True)
    settings = local.settings()
    # Tests in this process find our packages by pytest's own path, and choose their own OUTFEED_HOME.
    for name in ("PYTHONPATH", "OUTFEED_HOME"):
        del settings[name]
    os.environ.update(settings)
    return local


_FOLDERS: dict[str, tempfile.TemporaryDirectory[str]] = {}
