"""Pools that a customer's file names exist before its tasks wait for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow.dags import dag_of, stored

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_db")]


def _pools(session: Any) -> dict[str, int]:
    from airflow.models.pool import Pool
    from sqlalchemy import select

    return {pool.pool: pool.slots for pool in session.scalars(select(Pool))}


def test_missing_pools_are_made_and_existing_ones_left_alone() -> None:
    from airflow.utils.session import create_session

    from outfeed_airflow.listener import create_pools

    with create_session() as session:
        create_pools(session, {"source_new": 4, "destination_new": 4})
        create_pools(session, {"source_new": 9})
        assert _pools(session).items() >= {"source_new": 4, "destination_new": 4}.items()


def test_a_pool_that_another_scheduler_makes_meanwhile_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.utils.session import create_session

    from outfeed_airflow.listener import create_pools

    with create_session() as session:
        create_pools(session, {"source_race": 2})
        session.flush()
        # What this scheduler saw a moment ago.
        monkeypatch.setattr(type(session), "scalars", lambda *_: [])
        create_pools(session, {"source_race": 4})
        monkeypatch.undo()
        assert _pools(session)["source_race"] == 2


def test_only_pools_of_ours_are_made() -> None:
    from outfeed_airflow.listener import _wanted_pools

    run = SimpleNamespace(dag=stored(dag_of()))
    assert _wanted_pools(run) == {"source_platform_db": 4, "destination_local": 4}  # type: ignore[arg-type]
    assert _wanted_pools(SimpleNamespace(dag=None)) == {}  # type: ignore[arg-type]
