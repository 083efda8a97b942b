"""What is down for one stops no other, is explained, and is made good by clearing the failed task."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from tests.system.stories.broken import DestinationStory, SourceStory
from tests.system.stories.stage import DEAD_PASSWORD, HALF

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
STORIES = ("destination", "source")

NAME = "2026-03-27_23:00:00_2026-03-28_23:00:00"
FOLDER = f"_outfeed/work-orders-timeline/{NAME}"


@pytest.fixture(scope="module")
def destination(stories: dict[str, Future[Any]]) -> DestinationStory:
    """One of two destinations is down."""
    told: DestinationStory = stories["destination"].result()
    return told


@pytest.fixture(scope="module")
def source(stories: dict[str, Future[Any]]) -> SourceStory:
    """The platform's database can't be reached."""
    told: SourceStory = stories["source"].result()
    return told


def _below(tree: dict[str, bytes | None], name: str) -> dict[str, bytes | None]:
    return {
        path.removeprefix(f"{name}/"): content
        for path, content in tree.items()
        if path.startswith(f"{name}/")
    }


def test_the_other_destination_gets_everything_and_the_run_fails(destination: DestinationStory) -> None:
    # XX-07, DX-091
    look = destination.down
    assert look.state == "failed"
    assert (look.tasks["upload.good"], look.tasks["upload.blocked"]) == ("success", "failed")
    assert {receipt.destination for receipt in look.receipts} == {"good"}
    assert f"good/{HALF}/data/work-orders-timeline/{NAME}.json" in look.tree
    assert f"good/{FOLDER}/_SUCCESS" in look.tree
    assert not [path for path in look.tree if path.startswith("blocked/")]


def test_what_only_a_person_can_end_is_not_tried_again(destination: DestinationStory) -> None:
    # XX-08
    assert destination.down.tries["upload.blocked"] == 1


def test_the_mail_names_what_happened_where_and_who_must_act(destination: DestinationStory) -> None:
    # DX-042, XX-08
    ((subject, text),) = destination.down.mails["ops"]
    assert subject.endswith(": INCOMPLETE")
    assert "good: 1 files with" in text
    assert "blocked: not complete" in text
    assert "/delivered/half/blocked" in text
    assert "[operator acts: move the file away" in text, text
    ((_, customer),) = destination.down.mails["data"]
    assert "Our operators have been told" in customer
    assert "move the file away" not in customer


def test_clearing_the_failed_task_after_the_repair_completes_the_delivery(
    destination: DestinationStory,
) -> None:
    # XX-03, XX-04
    down, look = destination.down, destination.repaired
    assert look.state == "success"
    good, blocked = _below(look.tree, "good"), _below(look.tree, "blocked")
    assert good == _below(down.tree, "good"), "what was delivered is left alone"
    assert blocked.keys() == good.keys()
    assert {f"{FOLDER}/{name}" for name in ("MANIFEST", "SHA256SUMS", "_SUCCESS")} <= blocked.keys()
    for path, content in good.items():
        if path.rpartition("/")[2] not in ("MANIFEST", "SHA256SUMS", "_SUCCESS"):
            assert blocked[path] == content
    assert {receipt.destination for receipt in look.receipts} == {"good", "blocked"}
    assert look.tries["parts.extract"] == down.tries["parts.extract"] == 1
    assert [subject.rpartition(": ")[2] for subject, _ in look.mails["ops"]] == ["INCOMPLETE", "delivered"]


def test_an_unreachable_platform_is_tried_again_and_then_explained(source: SourceStory) -> None:
    # XX-08, XX-06
    assert source.look.state == "failed"
    assert source.look.tries["parts.extract"] == 4
    assert source.look.tasks["parts.extract[0]"] == "failed"
    for log in source.logs:
        assert "Connection refused" in log
        assert "check that the database is up" in log
        assert DEAD_PASSWORD not in log
    ((subject, text),) = source.look.mails["ops"]
    assert subject.endswith(": INCOMPLETE")
    assert "Connection refused" in text
    assert "[operator acts: check that the database is up" in text
    ((_, customer),) = source.look.mails["data"]
    assert "Connection refused" not in customer


def test_without_records_nothing_appears_under_a_final_name(source: SourceStory) -> None:
    # XX-04
    assert [path for path, content in source.look.tree.items() if content is not None] == []
    assert source.look.receipts == []
