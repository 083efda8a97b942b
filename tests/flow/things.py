"""A platform of one small table of its own, `things`: the catalogue is data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from outfeed.config.catalogue import catalogue

_CATALOGUE = """
entities:
  things:
    table: things
    key: [id]
    changes: mutable
    clock: [created, updated]
    schedule: "30 23 * * *"
"""


@contextlib.contextmanager
def catalogue_of_things(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Customers may have `things`, and nothing else."""
    datasets = folder / "datasets"
    (datasets / "platform_data").mkdir(parents=True)
    (datasets / "platform_data" / "catalogue.yaml").write_text(_CATALOGUE)
    monkeypatch.setenv("OUTFEED_DATASETS", str(datasets))
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()
