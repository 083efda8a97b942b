"""What keeps a whole group of parts from being worked on is told wherever somebody looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outfeed.errors import TerminalError
from outfeed.ledger.records import RunState
from outfeed.steps.notify import Message, notify
from tests.flow.world import SITE_A, SITE_B, World, config

pytestmark = pytest.mark.airflow

GROUP = {"index": 0, "holds": "both sites"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A customer whose two sites are read by one task."""
    made = World(
        tmp_path,
        config(
            [{"name": "box", "type": "local", "path": str(tmp_path / "base")}],
            notify={"customer": [], "operators": ["ops@platform.example"]},
        ),
    )
    made.ledger.record_validation("acme", made.config.destinations[0].location(), "earlier")
    return made


def told(world: World) -> tuple[str, str]:
    """The mail to the operators, and the error of `outfeed runs`, after all tasks of a run have ended."""
    from outfeed_airflow.operators.parts import ExtractOperator, ValidateOperator

    run = world.plan()
    for number in range(len(run.plan.groups)):
        group = GROUP | {"index": number}
        with pytest.raises(TerminalError) as first:
            ExtractOperator(task_id="extract", group=group).step(run)
        with pytest.raises(TerminalError) as second:
            ValidateOperator(task_id="validate", group=group).step(run)
        assert str(first.value) == str(second.value)
    with pytest.raises(TerminalError, match="nothing is delivered"):
        world.upload(run, "box")
    sent: list[Message] = []
    with pytest.raises(TerminalError):
        notify(run, sent.append)
    (mail,) = sent
    ended = world.ledger.run("acme", run.plan.run_id)
    assert ended.state is RunState.FAILED
    return mail.text, ended.error or ""


def test_a_source_connection_that_is_missing_is_named_in_the_mail_and_in_the_list_of_runs(
    world: World,
) -> None:
    # XX-08
    for text in told(world):
        for site in (SITE_A, SITE_B):
            assert f"work-orders-timeline/{site}: the Airflow connection 'platform_db' is not defined" in text
        assert "add it under Admin, Connections" in text
        assert "it was not read" not in text
        assert "the others are delivered" not in text


def test_a_source_connection_of_the_wrong_type_is_named_in_the_mail_and_in_the_list_of_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-08
    monkeypatch.setenv("AIRFLOW_CONN_PLATFORM_DB", json.dumps({"conn_type": "generic", "host": "db.example"}))
    for text in told(world):
        assert text.count("'platform_db' is of type 'generic', not a database") == 2
        assert "add it with `airflow connections add platform_db --conn-uri …`" in text


def test_what_kept_a_part_from_being_read_outlives_what_kept_it_from_being_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-08
    from outfeed_airflow.operators.parts import ExtractOperator, ValidateOperator

    run = world.plan()
    with pytest.raises(TerminalError):
        ExtractOperator(task_id="extract", group=GROUP).step(run)
    monkeypatch.setenv("AIRFLOW_CONN_PLATFORM_DB", json.dumps({"conn_type": "http", "host": "db.example"}))
    with pytest.raises(TerminalError, match="of type 'http'"):
        ValidateOperator(task_id="validate", group=GROUP).step(run)
    errors = {part.error or "" for part in world.ledger.parts("acme", run.plan.run_id)}
    assert all("is not defined" in error for error in errors)
    assert errors
