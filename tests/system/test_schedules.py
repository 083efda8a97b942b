"""Drafts, nights, runs by hand and one-time exports."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future
from typing import Any

import orjson
import pytest

from outfeed.ledger.records import RunRecord
from tests.system.stories.nightly import Story
from tests.system.stories.once import Story as OnceStory
from tests.system.stories.stage import NIGHTLY, ONCE

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
STORIES = ("nightly", "once")

TIMELINE = "data/work-orders-timeline"


@pytest.fixture(scope="module")
def story(stories: dict[str, Future[Any]]) -> Story:
    """The customer with nights."""
    told: Story = stories["nightly"].result()
    return told


@pytest.fixture(scope="module")
def once(stories: dict[str, Future[Any]]) -> OnceStory:
    """The customer with one export."""
    told: OnceStory = stories["once"].result()
    return told


def _data(tree: dict[str, bytes | None]) -> set[str]:
    return {path for path in tree if path.endswith(".json")}


def _files(start: str, end: str, sites: tuple[str, ...] = NIGHTLY) -> set[str]:
    """Paths of a window's data files at both destinations; bounds like `2026-03-18 23:00:00`."""
    plain = "_".join(bound.replace(" ", "_") for bound in (start, end))
    portable = "_".join(bound.replace(" ", "T").replace(":", "") + "Z" for bound in (start, end))
    return {
        f"{destination}/{site}/{TIMELINE}/{name}.json"
        for destination, name in (("archive", plain), ("analytics", portable))
        for site in sites
    }


def _bounds(run: RunRecord) -> tuple[str, str]:
    start, end = (str(bound.astimezone(dt.UTC))[:19] for bound in (run.start, run.end))
    return start, end


def test_a_draft_runs_only_test_exports_and_never_by_itself(story: Story) -> None:
    # DX-005
    assert "400" in story.refused
    assert "'manual' is not one of ['test']" in story.refused
    assert story.draft_runs == ["manual"]
    assert story.states["test"] == "success"
    assert story.runs["test"].reason == "test"
    assert _data(story.tested) == _files("2026-03-18 23:00:00", "2026-03-19 23:00:00")


def test_the_night_after_going_live_delivers_the_last_complete_window(story: Story) -> None:
    # DX-001, DX-018, DX-019, DX-089, DX-091
    night = story.runs["night"]
    assert story.states["night"] == "success"
    assert night.reason == "scheduled"
    assert (night.start, night.end) in story.midnights
    assert _data(story.night) - _data(story.tested) == _files(*_bounds(night))
    manifests = [
        orjson.loads(content or b"")
        for path, content in story.night.items()
        if path.endswith("/MANIFEST") and path not in story.tested
    ]
    assert len(manifests) == 2
    for manifest in manifests:
        assert manifest["reason"] == "scheduled"
        assert manifest["totals"]["rows"] > 0
    assert sum(manifest["images"]["delivered"] for manifest in manifests) > 0, "images go with the data"


def test_a_run_by_hand_without_a_window_takes_the_last_complete_one(story: Story) -> None:
    # DX-018, XX-03
    assert story.states["no window"] == "success"
    by_hand = story.runs["no window"]
    assert by_hand.reason == "manual"
    assert (by_hand.start, by_hand.end) in story.midnights
    delivered = {path for path in story.tree if by_hand.start.strftime("%Y-%m-%d_%H:%M:%S_") in path}
    assert delivered == {
        path for path in story.night if by_hand.start.strftime("%Y-%m-%d_%H:%M:%S_") in path
    }, "the night had delivered it"


def test_a_run_by_hand_has_the_window_it_was_asked_for(story: Story) -> None:
    # D35, DX-103
    assert story.states["window"] == "success"
    expected = _files("2026-03-26 23:00:00", "2026-03-28 23:00:00")
    assert expected <= _data(story.tree)
    assert all(story.tree[f"{path}"] for path in expected), "both days have records"


def test_a_run_by_hand_leaves_out_what_was_not_chosen(story: Story) -> None:
    # DX-018, DX-054
    assert story.states["choice"] == "success"
    assert story.tasks["choice"]["upload.archive"] == "skipped"
    assert [task for task in story.tasks["choice"] if task.startswith("parts.extract")] == [
        "parts.extract[0]"
    ]
    window = ("2026-03-20 23:00:00", "2026-03-21 23:00:00")
    chosen = {path for path in _files(*window, (NIGHTLY[1],)) if path.startswith("analytics/")}
    assert len(chosen) == 1
    assert _data(story.tree) & _files(*window) == chosen


def test_nothing_was_delivered_that_nobody_asked_for(story: Story) -> None:
    # DX-052
    asked = set().union(*(_files(*_bounds(run)) for run in story.runs.values()))
    assert _data(story.tree) <= asked
    assert not [path for path in story.tree if ".outfeed-tmp" in path]


def test_a_one_time_export_runs_exactly_once(once: OnceStory) -> None:
    # DX-017, DX-014
    assert once.state == "success"
    assert len(once.runs) == 1
    assert once.dag["next_dagrun_run_after"] is None
    assert once.dag["next_dagrun_data_interval_start"] is None
    name = "2026-03-25_23:00:00_2026-03-29_22:00:00"
    content = once.tree[f"box/{ONCE}/{TIMELINE}/{name}.json"]
    assert content is not None
    assert content.count(b"\n") > 0
