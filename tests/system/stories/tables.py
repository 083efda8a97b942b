"""Platform data: DAGs per schedule, test export, night, backfill of deltas."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from outfeed.ledger.records import RunRecord
from tests.faults.harness import everything_below
from tests.system.stories.stage import MAIL, TABLES, Stage

if TYPE_CHECKING:
    from tests.system.conftest import Site

NAME = "media"
EARLY, MIDDLE, LATE = DAGS = tuple(f"{NAME}__{minute}_0_x_x_x" for minute in (10, 20, 30))

CUSTOMER = f"""\
type: platform-data
state: draft
description: Some entities at three times of the night
source: {{connection: {TABLES}}}
entities: [assets, tags, users, audits]
csv_md5: 1
destinations:
  - {{name: box, type: local, path: {NAME}/box}}
  - {{name: lists, type: local, path: {NAME}/lists, delivery: "tags, audits"}}
notify:
  connection: {MAIL}
  operators: [ops@{NAME}.example]
"""


@dataclasses.dataclass(frozen=True)
class Story:
    """What was seen.

    Attributes:
        tasks: states of the tasks of each DAG's scheduled run.
        states: how the runs ended, by their part in the story.
        runs: the ledger's records, by part in the story; of a backfill one per day, oldest first.
        night: everything delivered after the first night.
        tree: everything delivered in the end.
        today: the day of the first night, in UTC.
    """

    tasks: dict[str, dict[str, str | None]]
    states: dict[str, str]
    runs: dict[str, RunRecord]
    night: dict[str, bytes | None]
    tree: dict[str, bytes | None]
    today: dt.date


def tell(site: Site) -> Story:
    """See the module."""
    stage = Stage(site, NAME)
    site.add(NAME, CUSTOMER)
    site.wait("three DAGs", lambda: set(DAGS) <= site.rest.dag_ids())
    ids: dict[str, tuple[str, str]] = {}
    states = {}

    def ends(part: str, dag: str, run: str) -> None:
        ids[part] = (dag, run)
        states[part] = site.rest.wait_for_run(dag, run, timeout=600)

    # Both places get something of this schedule, so one test export validates both.
    ends("test", EARLY, site.rest.trigger(EARLY, conf={"reason": "test", "entities": ["tags"]}))
    file = site.customers / f"{NAME}.yaml"
    file.write_text(file.read_text().replace("state: draft", "state: live"))
    tasks = {}
    for dag in DAGS:
        (run,) = site.wait(f"the night of {dag}", lambda dag=dag: _scheduled(site, dag))  # type: ignore[misc]
        ends(dag, dag, run)
        tasks[dag] = site.rest.task_states(dag, run)
    night = everything_below(stage.delivered)
    today = site.rest.run(MIDDLE, ids[MIDDLE][1])["data_interval_end"][:10]

    first = dt.date.fromisoformat(today) - dt.timedelta(days=3)
    begin = dt.datetime.combine(first, dt.time(0, 20), dt.UTC)
    site.rest.backfill(MIDDLE, begin.isoformat(), (begin + dt.timedelta(days=1)).isoformat())
    runs = site.wait("two runs of the backfill", lambda: _of_backfill(site))
    for number, run in enumerate(runs):
        ends(f"backfill {number}", MIDDLE, run)
    ends("again", EARLY, site.rest.trigger(EARLY, conf={"reason": "manual"}))
    records = {record.run_id: record for record in stage.ledger.runs(NAME)}
    return Story(
        tasks=tasks,
        states=states,
        runs={part: records[f"{dag.removeprefix(f'{NAME}__')}~{run}"] for part, (dag, run) in ids.items()},
        night=night,
        tree=everything_below(stage.delivered),
        today=dt.date.fromisoformat(today),
    )


def _scheduled(site: Site, dag: str) -> list[str]:
    return [run["dag_run_id"] for run in site.rest.runs(dag) if run["run_type"] == "scheduled"]


def _of_backfill(site: Site) -> Any:
    found = [run["dag_run_id"] for run in site.rest.runs(MIDDLE) if run["run_type"] == "backfill"]
    return sorted(found) if len(found) == 2 else None
