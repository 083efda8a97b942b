"""One Airflow database per test session, and a bundle with just the customers that a test asks for."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.airflow.environment import configured

LOCAL = configured()

CUSTOMER = """
type: work-orders
state: live
time_zone: Europe/Paris
start_date: 2026-03-01
interval: daily
site_id:
  - 3f2b8c1e-5f0a-4d53-9d5e-0a3f5b9e7c11
  - 8a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d
source:
  connection: platform_db
destinations:
  - name: folder
    type: local
    path: acme
"""


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's tables."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new OUTFEED_HOME."""
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def customer_file() -> Iterator[Callable[..., Path]]:
    """Writes `customers/<name>.yaml` into the bundle; it is gone after the test."""
    written: list[Path] = []

    def write(name: str = "acme.yaml", text: str = CUSTOMER) -> Path:
        path = LOCAL.dags_folder / "customers" / name
        path.write_text(textwrap.dedent(text))
        written.append(path)
        return path

    yield write
    for path in written:
        path.unlink(missing_ok=True)
