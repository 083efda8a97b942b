"""Where stories take place: a platform, a mail server, and one customer each in the running Airflow."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email
import email.policy
import secrets
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outfeed.demo_data import generate
from outfeed.demo_data.platform_data import generate as generate_tables
from outfeed.ledger import Ledger
from tests.servers.process import free_ports

if TYPE_CHECKING:
    from tests.system.conftest import Site

PLATFORM = "stories/platform.db"
IMAGES = "stories/images"
#: Airflow connections of the stories' customers.
SOURCE, DEAD_SOURCE, MAIL, TABLES = "stories_db", "dead_db", "stories_mail", "stories_tables"

#: A site for each story that needs records in March, and two with records up to today.
BACKFILLED = "0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a01"
ONCE = "0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a02"
HALF = "0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a03"
KILLED = "0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a04"
NIGHTLY = ("0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a05", "0b6d3f0e-7f0b-4f5e-8b57-8f6f5d6f7a06")

#: The refused password must not show up anywhere.
DEAD_PASSWORD = secrets.token_urlsafe(16)


def prepare(site: Site) -> None:
    """Platform and connections; before any story begins."""
    home = site.airflow.home
    database = f"sqlite:///{home / PLATFORM}"
    for number, place in enumerate((BACKFILLED, ONCE, HALF, KILLED)):
        generate(
            database,
            home / IMAGES,
            sites=[place],
            orders_per_day=20,
            days=10,
            end=dt.date(2026, 4, 2),
            seed=number,
            broken_share=0.05,
        )
    today = dt.datetime.now(dt.UTC).date()
    first = dt.date(2026, 3, 18)
    generate(
        database,
        home / IMAGES,
        sites=NIGHTLY,
        orders_per_day=2,
        days=(today - first).days + 1,
        end=today + dt.timedelta(days=1),
        seed=9,
        broken_share=0,
    )
    generate_tables(site.platform_url, scale=1, days=5, end=today, seed=5)
    tables = urlsplit(site.platform_url)
    (dead_port,) = free_ports(1)
    for connection in (
        {"connection_id": SOURCE, "conn_type": "sqlite", "host": PLATFORM},
        {
            "connection_id": TABLES,
            "conn_type": "postgres",
            "host": tables.hostname,
            "port": tables.port,
            "schema": tables.path.lstrip("/"),
            "login": tables.username,
            "password": tables.password,
        },
        {
            "connection_id": DEAD_SOURCE,
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": dead_port,
            "schema": "platform",
            "login": "outfeed",
            "password": DEAD_PASSWORD,
        },
        {
            "connection_id": MAIL,
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": site.airflow.mail_port,
            "extra": '{"from_email": "outfeed@example.com", "disable_ssl": true, "disable_tls": true}',
        },
    ):
        site.rest.request("POST", "/connections", json=connection)


@dataclasses.dataclass
class Stage:
    """One customer.

    Attributes:
        name: the customer's; its local destinations lie in a folder of the same name.
    """

    site: Site
    name: str

    @property
    def delivered(self) -> Path:
        """The folder of the customer's local destinations."""
        return self.site.airflow.home / "delivered" / self.name

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(f"sqlite:///{self.site.airflow.home / 'ledger.db'}")

    def config(self, sites: tuple[str, ...], destinations: dict[str, str], options: str) -> str:
        """A draft.

        Args:
            destinations: further options of each local destination, by name.
            options: further lines; they win.
        """
        lines = [
            "type: work-orders",
            "state: draft",
            "time_zone: Europe/Paris",
            "release_delay: 0s",
            f"site_id: [{', '.join(sites)}]",
            "destinations:",
            *(
                f"  - {{name: {name}, type: local, path: {self.name}/{name}{more}}}"
                for name, more in destinations.items()
            ),
            "notify:",
            f"  connection: {MAIL}",
            f"  customer: [{self.address('data')}]",
            f"  operators: [{self.address('ops')}]",
            options.strip("\n"),
        ]
        return "\n".join(lines) + "\n"

    def address(self, role: str) -> str:
        """Address of the customer's `data` or our `ops` people, of this customer only."""
        return f"{role}@{self.name}.example"

    def add(self, config: str) -> None:
        """Drops the customer's file in and waits for the DAG."""
        self.site.add(self.name, config)
        self.site.wait(f"the DAG {self.name}", lambda: self.name in self.site.rest.dag_ids())

    def go_live(self) -> str:
        """The draft becomes live; returns the id of the first run that the scheduler starts."""
        file = self.site.customers / f"{self.name}.yaml"
        file.write_text(file.read_text().replace("state: draft", "state: live"))
        return self.site.wait(f"the first night of {self.name}", lambda: self.runs("scheduled"))[0]

    def runs(self, kind: str) -> list[str]:
        """Ids of the customer's runs of one type, oldest first."""
        return [run["dag_run_id"] for run in self.site.rest.runs(self.name) if run["run_type"] == kind]

    def start(self, **conf: Any) -> str:
        """Starts a manual run as the form does, and returns its id."""
        return self.site.rest.trigger(self.name, conf=conf)

    def end(self, run_id: str) -> str:
        """Waits for a run; returns its state."""
        return self.site.rest.wait_for_run(self.name, run_id, timeout=300)

    def tested(self, start: str, end: str) -> None:
        """A test export of a window has validated all destinations."""
        run_id = self.start(reason="test", window_start=start, window_end=end)
        assert self.end(run_id) == "success", self.site.rest.task_states(self.name, run_id)

    def clear(self, run_id: str, *tasks: str) -> None:
        """Clears tasks of a run, as an operator does in the UI."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": tasks, "only_failed": False}
        self.site.rest.request("POST", f"/dags/{self.name}/clearTaskInstances", json=body)

    def log(self, run_id: str, task: str, attempt: int, map_index: int = -1) -> str:
        """The log of one try of a task."""
        return self.site.rest.task_log(self.name, run_id, task, attempt=attempt, map_index=map_index)

    def tries(self, run_id: str) -> dict[str, int]:
        """Number of tries by task id; of a mapped task, that of its first instance."""
        path = f"/dags/{self.name}/dagRuns/{run_id.replace('+', '%2B')}/taskInstances"
        found = self.site.rest.request("GET", path)["task_instances"]
        return {task["task_id"]: task["try_number"] for task in found if task["map_index"] <= 0}

    def mails(self, role: str) -> list[EmailMessage]:
        """What an address has got, in order."""
        files = sorted((self.site.airflow.home / "mail").glob(f"*-{self.address(role)}.eml"))
        return [
            message
            for file in files
            if isinstance(
                message := email.message_from_bytes(file.read_bytes(), policy=email.policy.default),
                EmailMessage,
            )
        ]


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
