"""One customer's night through a whole Airflow: test export, going live, and the scheduler does the rest."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.airflow_runs import Overhead, overhead, wait_until, whole_airflow
from outfeed.ledger import Ledger
from scripts.airflow_rest import AirflowRest

_CUSTOMER = "night"
_TESTED = f"{_CUSTOMER}__10_0_x_x_x"
_YAML = """\
type: platform-data
state: draft
source: {connection: platform_db, max_parallel: 2}
destinations:
  - {name: box, type: local, path: night/box}
"""


@dataclasses.dataclass(frozen=True)
class Night:
    """What was seen.

    Attributes:
        seconds: from the start of the first scheduled run to the end of the last one.
        runs: each of them.
        rows: in all delivered files.
    """

    seconds: float
    runs: tuple[Overhead, ...]
    files: int
    rows: int


def night_in_airflow(home: Path, url: str) -> Night:
    """One scheduled run of each of the catalogue's schedules, all due at once."""
    customers = home / "dags" / "customers"
    customers.mkdir(parents=True)
    (customers / f"{_CUSTOMER}.yaml").write_text(_YAML)
    with whole_airflow(home, _settings(url)) as rest:
        return _told(rest, customers / f"{_CUSTOMER}.yaml", home)


def _settings(url: str) -> str:
    parts = urlsplit(url)
    return (
        "airflow:\n  connections:\n"
        f"    - {{conn_id: platform_db, conn_type: postgres, conn_host: {parts.hostname}, "
        f"conn_port: {parts.port}, conn_login: {parts.username}, conn_password: {parts.password}, "
        f"conn_schema: {parts.path.lstrip('/')}}}\n"
    )


def _told(rest: AirflowRest, file: Path, home: Path) -> Night:
    wait_until(lambda: len(rest.dag_ids()) == 4, "a DAG for each schedule")
    dags = sorted(rest.dag_ids())
    # Of one small table, so that the night has everything else left to do.
    test = rest.trigger(_TESTED, conf={"reason": "test", "entities": ["tags"]})
    if rest.wait_for_run(_TESTED, test, timeout=600) != "success":
        raise RuntimeError(f"the test export failed: {rest.task_states(_TESTED, test)}")
    file.write_text(file.read_text().replace("state: draft", "state: live"))
    found: dict[str, str] = {}

    def all_ended() -> bool:
        for dag in dags:
            for run in rest.runs(dag):
                if run["run_type"] == "scheduled" and run["state"] in ("success", "failed"):
                    found[dag] = run["dag_run_id"]
        return len(found) == len(dags)

    wait_until(all_ended, "the night", seconds=1800)
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    runs = {dag: rest.run(dag, run) for dag, run in found.items()}
    failed = [dag for dag, run in runs.items() if run["state"] != "success"]
    if failed:
        raise RuntimeError(f"{failed[0]} failed: {rest.task_states(failed[0], found[failed[0]])}")
    starts = [dt.datetime.fromisoformat(run["start_date"]) for run in runs.values()]
    ends = [dt.datetime.fromisoformat(run["end_date"]) for run in runs.values()]
    recorded = {dag: f"{dag.partition('__')[2]}~{run}" for dag, run in found.items()}
    receipts = [record for record in ledger.deliveries(_CUSTOMER) if record.run_id in recorded.values()]
    return Night(
        seconds=(max(ends) - min(starts)).total_seconds(),
        runs=tuple(overhead(rest, ledger, dag, run, recorded[dag]) for dag, run in found.items()),
        files=sum(receipt.files for receipt in receipts),
        rows=sum(receipt.rows for receipt in receipts),
    )
