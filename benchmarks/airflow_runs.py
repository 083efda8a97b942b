"""A whole Airflow, and what its REST API and the ledger tell of a run's cost beyond its work.

    work     = max over groups (extract + validate + package) + max over destinations (upload) + notify
    overhead = (end of run - start of run) - work

Each term is the time between begin and end of the step's attempt in the ledger: what the library did,
without process start, imports, scheduling and the reading of the plan. The plan's own work counts as
overhead. The overhead lies partly inside the chain's tasks (their durations in Airflow, less the work) and
partly between them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from outfeed.ledger import Ledger
from scripts.airflow_local import LocalAirflow
from scripts.airflow_rest import AirflowRest
from tests.servers.process import free_ports

_GROUP_STEPS = ("extract", "validate", "package")


@contextlib.contextmanager
def whole_airflow(home: Path, settings: str) -> Iterator[AirflowRest]:
    """An Airflow of the DAGs in `dags` of a home folder; `settings` is the text of its settings file."""
    (port,) = free_ports(1)
    file = home / "settings.yaml"
    file.write_text(settings)
    airflow = LocalAirflow(
        home,
        port=port,
        dags_folder=home / "dags",
        settings_file=file,
        mail_port=None,
        die_with_parent=True,
    )
    airflow.start()
    try:
        yield airflow.rest()
    finally:
        airflow.stop()


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


def overhead(
    rest: AirflowRest, ledger: Ledger, dag_id: str, run_id: str, recorded: str | None = None
) -> Overhead:
    """What a run that has ended cost; `recorded` is its id in the ledger where that is another one."""
    steps: dict[tuple[str, str], float] = {}
    for attempt in ledger.attempts(dag_id.partition("__")[0], recorded or run_id):
        if attempt.ended_at is None:
            raise RuntimeError(f"{attempt.step} {attempt.target} of {run_id} has no end")
        steps[attempt.step, attempt.target] = (attempt.ended_at - attempt.started_at).total_seconds()
    tasks = _task_seconds(rest, dag_id, run_id)
    mapped = [name for name in steps if name[0] == "extract"]
    group = max((target for _, target in mapped), key=lambda target: _chain(steps, target))
    upload = max(seconds for (step, _), seconds in steps.items() if step == "upload")
    index = int(group.removeprefix("group-"))
    return Overhead(
        wall=run_seconds(rest.run(dag_id, run_id)),
        work=_chain(steps, group) + upload + steps["notify", "run"],
        chain=sum(
            tasks[name]
            for name in [("plan", -1), *((f"parts.{step}", index) for step in _GROUP_STEPS), ("notify", -1)]
        )
        + max(seconds for (name, _), seconds in tasks.items() if name.startswith("upload.")),
        tasks=len(tasks),
    )


def _chain(steps: Mapping[tuple[str, str], float], group: str) -> float:
    return sum(steps[step, group] for step in _GROUP_STEPS)


def _task_seconds(rest: AirflowRest, dag_id: str, run_id: str) -> dict[tuple[str, int], float]:
    found = rest.request(
        "GET", f"/dags/{dag_id}/dagRuns/{run_id.replace('+', '%2B')}/taskInstances?limit=1000"
    )
    return {(task["task_id"], task["map_index"]): task["duration"] for task in found["task_instances"]}


def run_seconds(run: Mapping[str, Any]) -> float:
    """How long a run took, of what Airflow says of it."""
    start, end = (dt.datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Returns when the condition holds.

    Raises:
        TimeoutError: it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)
