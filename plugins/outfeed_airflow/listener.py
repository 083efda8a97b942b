"""Makes sure that a run's pools exist: a task in a pool that does not would wait for ever."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Slots of a pool that an installation has not set itself, by the prefix of its name.
DEFAULT_SLOTS = {"source_": 4, "destination_": 4}


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Runs in the scheduler. Creates missing pools of the run's tasks; never changes an existing one.

    Works in the scheduler's own transaction: with SQLite a second one would wait for the first.
    """
    wanted = _wanted_pools(dag_run)
    if not wanted:
        return
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is not None:
        create_pools(session, wanted)


def create_pools(session: Session, wanted: dict[str, int]) -> None:
    """Every wanted pool exists; one that did before is as it was, also if another scheduler makes it now."""
    from airflow.models.pool import Pool
    from sqlalchemy import select
    from sqlalchemy.dialects import postgresql, sqlite

    existing = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(wanted))))
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for name in sorted(wanted.keys() - existing):
        log.info("creating pool %s with %d slots", name, wanted[name])
        values = {
            "pool": name,
            "slots": wanted[name],
            "description": "made by Outfeed",
            "include_deferred": False,
        }
        # A conflict must not end the scheduler's transaction, and a savepoint is forbidden in it.
        session.execute(insert(Pool).values(values).on_conflict_do_nothing(index_elements=["pool"]))


def _wanted_pools(dag_run: DagRun) -> dict[str, int]:
    tasks = dag_run.dag.tasks if dag_run.dag is not None else []
    return {
        task.pool: slots
        for task in tasks
        for prefix, slots in DEFAULT_SLOTS.items()
        if task.pool.startswith(prefix)
    }
