"""One Airflow per test session, with twenty customers that need nothing and what a test adds."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from outfeed.demo_data import generate

from scripts.airflow_local import LocalAirflow
from scripts.airflow_rest import AirflowRest
from tests.servers.process import free_ports

T = TypeVar("T")

SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
OTHERS = [f"other-{number:02}" for number in range(20)]

#: No pools: the scheduler has to make them.
SETTINGS = """
airflow:
  connections:
    - {conn_id: platform_db, conn_type: sqlite, conn_host: demo/platform.db}
"""

CUSTOMER = f"""\
type: work-orders
state: draft
time_zone: Europe/Paris
interval: daily
site_id:
  - {SITE}
source:
  connection: platform_db
destinations:
  - name: folder
    type: local
    path: shared
"""


@dataclasses.dataclass
class Site:
    """The running Airflow and its customers."""

    airflow: LocalAirflow
    rest: AirflowRest

    @property
    def customers(self) -> Path:
        """Folder of the customers' files."""
        return self.airflow.dags_folder / "customers"

    def add(self, name: str, text: str = CUSTOMER) -> Path:
        """Drops a customer's file in."""
        path = self.customers / f"{name}.yaml"
        path.write_text(text)
        return path

    @staticmethod
    def wait(what: str, condition: Callable[[], T], seconds: float = 180) -> T:
        """The first true value of a condition."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.3)
        return found


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Airflow with a platform of two days of data."""
    port, mail_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="outfeed-system-") as folder:
        home = Path(folder)
        airflow = LocalAirflow(
            home=home,
            port=port,
            dags_folder=home / "dags",
            settings_file=home / "settings.yaml",
            mail_port=mail_port,
            overrides={"AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1"},
            die_with_parent=True,
        )
        customers = airflow.dags_folder / "customers"
        customers.mkdir(parents=True)
        for name in OTHERS:
            (customers / f"{name}.yaml").write_text(CUSTOMER)
        (home / "settings.yaml").write_text(SETTINGS)
        database = home / "demo" / "platform.db"
        database.parent.mkdir()
        generate(
            f"sqlite:///{database}",
            home / "demo" / "images",
            sites=[SITE],
            orders_per_day=5,
            days=4,
            end=dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1),
            seed=1,
        )
        airflow.start()
        try:
            yield Site(airflow, airflow.rest())
        finally:
            airflow.stop()
