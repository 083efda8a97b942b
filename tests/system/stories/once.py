"""A customer who wants one export, once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tests.faults.harness import everything_below
from tests.system.stories.stage import ONCE, SOURCE, Stage

if TYPE_CHECKING:
    from tests.system.conftest import Site


@dataclasses.dataclass(frozen=True)
class Story:
    """What was seen.

    Attributes:
        state: of the only run.
        runs: all runs that the scheduler started, looked at after the file had been edited once more.
        dag: the DAG, as Airflow describes it in the end.
        tree: everything delivered.
    """

    state: str
    runs: list[dict[str, Any]]
    dag: dict[str, Any]
    tree: dict[str, bytes | None]


def tell(site: Site) -> Story:
    """See the module."""
    stage = Stage(site, "handover")
    options = (
        f"interval: once\nstart_date: 2026-03-26\nend_date: 2026-03-30\nsource: {{connection: {SOURCE}}}"
    )
    stage.add(stage.config((ONCE,), {"box": ""}, options))
    stage.tested("2026-03-24T00:00:00+01:00", "2026-03-25T00:00:00+01:00")
    state = stage.end(stage.go_live())

    # A new version of the DAG is when a scheduler that forgets would start it again.
    file = site.customers / f"{stage.name}.yaml"
    file.write_text(f"{file.read_text()}description: edited after its run\n")

    def edited() -> Any:
        dag = site.rest.request("GET", f"/dags/{stage.name}")
        return dag["description"] == "edited after its run" and dag

    dag = site.wait("the edit", edited)
    runs = [run for run in site.rest.runs(stage.name) if run["run_type"] == "scheduled"]
    return Story(state, runs, dag, everything_below(stage.delivered))
