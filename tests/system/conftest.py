"""One Airflow per test session, with twenty customers that need nothing and what a test adds."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from outfeed.demo_data import generate
from scripts.airflow_local import ROOT, LocalAirflow
from scripts.airflow_rest import AirflowRest
from tests.faults import kill_points
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_ports
from tests.system.stories import backfill, broken, killed, nightly, once, tables
from tests.system.stories.stage import prepare

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
    #: Database for a platform's tables.
    platform_url: str

    @property
    def customers(self) -> Path:
        """Folder of the customers' files."""
        return self.airflow.dags_folder / "customers"

    @property
    def kill_points(self) -> Path:
        """Folder in which `tests.faults.kill_points` can be armed for a task."""
        return self.airflow.home / "kill-points"

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
            time.sleep(1)
        return found


@pytest.fixture(scope="session")
def site(postgres: PostgresServer) -> Iterator[Site]:
    """Airflow with a platform of two days of data.

    Its database is a PostgreSQL: with SQLite, an API server that gets two writing requests at once blocks
    itself and all others for seconds, answers 500, and a scheduler that waits for it gives up.
    """
    port, mail_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="outfeed-system-") as folder:
        home = Path(folder)
        airflow = LocalAirflow(
            home=home,
            port=port,
            dags_folder=home / "dags",
            settings_file=home / "settings.yaml",
            mail_port=mail_port,
            overrides={
                "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.create_database("airflow_system").replace(
                    "postgresql://", "postgresql+psycopg2://"
                ),
                **kill_points.environment(home / "kill-points", [ROOT / "include", ROOT / "plugins"]),
            },
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
            yield Site(airflow, airflow.rest(), postgres.create_database("stories_tables"))
        finally:
            airflow.stop()


#: What happens at the same time; a test module names those that it looks at in `STORIES`.
STORIES: dict[str, Callable[[Site], Any]] = {
    "backfill": backfill.tell,
    "destination": broken.tell_destination,
    "killed": killed.tell,
    "nightly": nightly.tell,
    "once": once.tell,
    "source": broken.tell_source,
    "tables": tables.tell,
}


@pytest.fixture(scope="session")
def stories(site: Site, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """The stories that the session's tests look at, all of them under way."""
    modules = {item.getparent(pytest.Module) for item in request.session.items}
    wanted = {name for module in modules if module for name in getattr(module.obj, "STORIES", ())}
    prepare(site)
    with ThreadPoolExecutor(len(STORIES), "story") as pool:
        yield {name: pool.submit(tell, site) for name, tell in STORIES.items() if name in wanted}
