"""What a run costs beyond its work: 100 sites through a whole Airflow, beside 100 tasks that do nothing.

A run's overhead is the time from its start to its end, as Airflow's REST API tells them, less the work on
its longest chain of steps:

    work     = max over groups (extract + validate + package) + max over destinations (upload) + notify
    overhead = (end of run - start of run) - work

Each term is the time between begin and end of the step's attempt in the ledger: what the library did,
without process start, imports, scheduling and the reading of the plan. The plan's own work counts as
overhead. The overhead lies partly inside the chain's tasks (their durations in Airflow, less the work) and
partly between them.

The peer is what most people write first: one mapped task per site. Its tasks do nothing, so all of its run
is overhead. Both run in turns in the same Airflow.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import Report, Row, arguments, emit, environment, ratios, row
from outfeed.demo_data import demo_sites, generate
from outfeed.ledger import Ledger
from scripts.airflow_local import LocalAirflow
from scripts.airflow_rest import AirflowRest
from tests.servers.process import free_ports

_CUSTOMER = "overhead"
_NAIVE = "naive"

_YAML = """\
type: work-orders
state: live
time_zone: UTC
interval: daily
start_date: 2031-01-01
source: {{connection: platform_db}}
site_id:
{sites}
destinations:
  - {{name: folder, type: local, path: overhead/production}}
"""
_NAIVE_DAG = """\
from airflow.sdk import DAG, task

with DAG("naive", schedule=None, is_paused_upon_creation=False):

    @task
    def nothing(site):
        return None

    nothing.expand(site=list(range({sites})))
"""
_SETTINGS = """\
airflow:
  connections:
    - {conn_id: platform_db, conn_type: sqlite, conn_host: demo/platform.db}
"""


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Seconds of one of our runs."""

    wall: float
    work: float
    chain: float
    tasks: int

    @property
    def total(self) -> float:
        """The overhead."""
        return self.wall - self.work


def measure(home: Path, sites: int, rounds: int) -> list[Row]:
    """All rows."""
    port, _ = free_ports(2)
    today = dt.datetime.now(dt.UTC).date()
    _make_platform(home, sites, days=rounds + 2, end=today)
    airflow = LocalAirflow(
        home,
        port=port,
        dags_folder=home / "dags",
        settings_file=home / "settings.yaml",
        mail_port=None,
        die_with_parent=True,
    )
    airflow.start()
    try:
        rest = airflow.rest()
        _wait(lambda: {_CUSTOMER, _NAIVE} <= rest.dag_ids(), "both DAGs")
        ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
        # The test export validates the destination, and warms both sides up.
        test = {"reason": "test", **_window(today - dt.timedelta(days=rounds + 1))}
        first = _overhead(rest, ledger, _run(rest, _CUSTOMER, test))
        _run(rest, _NAIVE, {})
        ours, naive = [], []
        for number in range(rounds):
            conf = _window(today - dt.timedelta(days=rounds - number))
            ours.append(_overhead(rest, ledger, _run(rest, _CUSTOMER, conf)))
            naive.append(_seconds(rest.run(_NAIVE, _run(rest, _NAIVE, {}))))
    finally:
        airflow.stop()
    totals = [one.total for one in ours]
    return [
        row(f"our run of {sites} sites in {ours[-1].tasks} tasks", [one.wall for one in ours], "s"),
        row("work on its longest chain", [one.work for one in ours], "s"),
        row("**overhead**", totals, "s", goal="<= 6"),
        row("of it inside the chain's tasks", [one.chain - one.work for one in ours], "s"),
        row("of it between them", [one.wall - one.chain for one in ours], "s"),
        row(f"naive map: {sites} tasks that do nothing", naive, "s"),
        row("**naive map / our overhead**", ratios(naive, totals), "x", goal=">= 4"),
        row(f"overhead of the customer's first run, in {first.tasks} tasks", first.total, "s"),
    ]


def _make_platform(home: Path, sites: int, days: int, end: dt.date) -> None:
    (home / "dags" / "customers").mkdir(parents=True)
    names = "\n".join(f"  - {site}" for site in demo_sites(sites))
    (home / "dags" / "customers" / f"{_CUSTOMER}.yaml").write_text(_YAML.format(sites=names))
    (home / "dags" / f"{_NAIVE}.py").write_text(_NAIVE_DAG.format(sites=sites))
    (home / "settings.yaml").write_text(_SETTINGS)
    (home / "demo").mkdir()
    url = f"sqlite:///{home / 'demo' / 'platform.db'}"
    generate(url, None, sites=sites, orders_per_day=1, days=days, end=end, seed=1, broken_share=0)


def _window(day: dt.date) -> dict[str, str]:
    return {"window_start": f"{day}T00:00:00Z", "window_end": f"{day + dt.timedelta(days=1)}T00:00:00Z"}


def _run(rest: AirflowRest, dag_id: str, conf: Mapping[str, str]) -> str:
    run_id = rest.trigger(dag_id, conf=dict(conf))
    state = rest.wait_for_run(dag_id, run_id, timeout=600)
    if state != "success":
        raise RuntimeError(f"{dag_id} {run_id} is {state}: {rest.task_states(dag_id, run_id)}")
    return run_id


def _overhead(rest: AirflowRest, ledger: Ledger, run_id: str) -> Overhead:
    steps: dict[tuple[str, str], float] = {}
    for attempt in ledger.attempts(_CUSTOMER, run_id):
        if attempt.ended_at is None:
            raise RuntimeError(f"{attempt.step} {attempt.target} of {run_id} has no end")
        steps[attempt.step, attempt.target] = (attempt.ended_at - attempt.started_at).total_seconds()
    tasks = _task_seconds(rest, run_id)
    mapped = [name for name in steps if name[0] == "extract"]
    group = max((target for _, target in mapped), key=lambda target: _chain(steps, target))
    upload = max(seconds for (step, _), seconds in steps.items() if step == "upload")
    index = int(group.removeprefix("group-"))
    return Overhead(
        wall=_seconds(rest.run(_CUSTOMER, run_id)),
        work=_chain(steps, group) + upload + steps["notify", "run"],
        chain=sum(
            tasks[name]
            for name in [("plan", -1), *((f"parts.{step}", index) for step in _GROUP_STEPS), ("notify", -1)]
        )
        + max(seconds for (name, _), seconds in tasks.items() if name.startswith("upload.")),
        tasks=len(tasks),
    )


_GROUP_STEPS = ("extract", "validate", "package")


def _chain(steps: Mapping[tuple[str, str], float], group: str) -> float:
    return sum(steps[step, group] for step in _GROUP_STEPS)


def _task_seconds(rest: AirflowRest, run_id: str) -> dict[tuple[str, int], float]:
    found = rest.request(
        "GET", f"/dags/{_CUSTOMER}/dagRuns/{run_id.replace('+', '%2B')}/taskInstances?limit=1000"
    )
    return {(task["task_id"], task["map_index"]): task["duration"] for task in found["task_instances"]}


def _seconds(run: Mapping[str, Any]) -> float:
    start, end = (dt.datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


def _wait(condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)


def main() -> None:
    """Measures, and prints the report."""
    options = arguments(__doc__)
    where = environment("apache-airflow", "SQLAlchemy")
    home = Path(tempfile.mkdtemp(prefix="outfeed-run-overhead-"))
    try:
        rows = measure(home, sites=4, rounds=1) if options.quick else measure(home, sites=100, rounds=5)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    emit(
        Report(
            name="run_overhead",
            title="A run of 100 sites",
            environment=where,
            rows=tuple(rows),
            notes=(
                "LocalExecutor, SQLite for Airflow and the ledger, as `make up` has them. How overhead and "
                "work are told apart stands at the top of `benchmarks/run_overhead.py`.",
                "How many tasks a run has depends on what earlier runs weighed; a first run has most.",
            ),
        )
    )


if __name__ == "__main__":
    main()
