"""What a run costs beyond its work: 100 sites through a whole Airflow, beside 100 tasks that do nothing.

A run's overhead is the time from its start to its end, as Airflow's REST API tells them, less the work on
its longest chain of steps:

    overhead = (end of run - start of run) - work

`benchmarks/airflow_runs.py` says what counts as work.

The peer is what most people write first: one mapped task per site. Its tasks do nothing, so all of its run
is overhead. Both run in turns in the same Airflow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from benchmarks.airflow_runs import overhead, run_seconds, wait_until, whole_airflow
from benchmarks.report import Report, Row, arguments, emit, environment, ratios, row
from outfeed.demo_data import demo_sites, generate
from outfeed.ledger import Ledger
from scripts.airflow_rest import AirflowRest
from tests.servers.process import scratch

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


def measure(home: Path, sites: int, rounds: int) -> list[Row]:
    """All rows."""
    today = dt.datetime.now(dt.UTC).date()
    _make_platform(home, sites, days=rounds + 2, end=today)
    with whole_airflow(home, _SETTINGS) as rest:
        wait_until(lambda: {_CUSTOMER, _NAIVE} <= rest.dag_ids(), "both DAGs")
        ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
        # The test export validates the destination, and warms both sides up.
        test = {"reason": "test", **_window(today - dt.timedelta(days=rounds + 1))}
        first = overhead(rest, ledger, _CUSTOMER, _run(rest, _CUSTOMER, test))
        _run(rest, _NAIVE, {})
        ours, naive = [], []
        for number in range(rounds):
            conf = _window(today - dt.timedelta(days=rounds - number))
            ours.append(overhead(rest, ledger, _CUSTOMER, _run(rest, _CUSTOMER, conf)))
            naive.append(run_seconds(rest.run(_NAIVE, _run(rest, _NAIVE, {}))))
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


def main() -> None:
    """Measures, and prints the report."""
    options = arguments(__doc__)
    where = environment("apache-airflow", "SQLAlchemy")
    with scratch("run-overhead") as home:
        rows = measure(home, sites=4, rounds=1) if options.quick else measure(home, sites=100, rounds=5)
    emit(
        Report(
            name="run_overhead",
            title="A run of 100 sites",
            environment=where,
            rows=tuple(rows),
            notes=(
                "LocalExecutor, SQLite for Airflow and the ledger, as `make up` has them. How overhead and "
                "work are told apart stands at the top of `benchmarks/airflow_runs.py`.",
                "How many tasks a run has depends on what earlier runs weighed; a first run has most.",
            ),
        )
    )


if __name__ == "__main__":
    main()
