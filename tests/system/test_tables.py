"""Platform data through the real Airflow: a DAG per schedule, one snapshot each, deltas of days gone by."""

from __future__ import annotations

import datetime as dt
import hashlib
from concurrent.futures import Future
from typing import Any

import orjson
import pytest

from tests.system.stories.tables import DAGS, EARLY, LATE, MIDDLE, Story

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
STORIES = ("tables",)


@pytest.fixture(scope="module")
def story(stories: dict[str, Future[Any]]) -> Story:
    """The customer of platform data."""
    told: Story = stories["tables"].result()
    return told


def _csv(tree: dict[str, bytes | None], place: str) -> set[str]:
    return {
        path.removeprefix(f"{place}/") for path in tree if path.startswith(place) and path.endswith(".csv")
    }


def test_each_schedule_is_a_dag_that_runs_by_itself(story: Story) -> None:
    # VI-018 VI-026 VI-029 VI-031
    assert all(state == "success" for state in story.states.values()), story.states
    for dag, minute in zip(DAGS, (10, 20, 30), strict=True):
        run = story.runs[dag]
        assert run.reason == "scheduled"
        midnight = dt.datetime.combine(story.today, dt.time(), dt.UTC)
        assert (run.start, run.end) == (midnight - dt.timedelta(days=1), midnight), f"minute {minute}"
    assert set(story.tasks[LATE]) >= {"upload.box", "upload.lists", "parts.extract[0]"}
    assert "upload.lists" not in story.tasks[MIDDLE], "that place receives no users"


def test_the_night_delivers_snapshots_and_deltas_to_each_place(story: Story) -> None:
    # VI-005 VI-017 VI-018 VI-C11 VI-D07
    day = f"{story.today:%Y_%m_%d}"
    changing = ("assets", "users", "audits")
    assert _csv(story.night, "box") == {
        *(f"{name}/{name}_{day}.csv" for name in (*changing, "tags")),
        *(f"{name}_delta/{name}_delta_{day}.csv" for name in changing),
    }
    assert _csv(story.night, "lists") == {
        f"tags/tags_{day}.csv",
        f"audits/audits_{day}.csv",
        f"audits_delta/audits_delta_{day}.csv",
    }


def test_each_file_has_the_md5_that_its_sidecar_says(story: Story) -> None:
    # VI-C08 VI-C09 VI-C10
    files = [path for path in story.tree if path.endswith(".csv")]
    assert len(files) > 10
    for path in files:
        content, sidecar = story.tree[path], story.tree[f"{path}.md5"]
        assert content is not None
        assert sidecar is not None
        assert sidecar.decode() == f"{hashlib.md5(content).hexdigest()}  {path.rpartition('/')[2]}\n"


def test_a_backfill_delivers_the_deltas_of_its_days_and_no_snapshot(story: Story) -> None:
    # VI-019 VI-020 VI-024
    added = _csv(story.tree, "box") - _csv(story.night, "box")
    days = [story.today - dt.timedelta(days=2), story.today - dt.timedelta(days=1)]
    assert added == {f"users_delta/users_delta_{day:%Y_%m_%d}.csv" for day in days}
    manifests = {
        path: orjson.loads(content or b"")
        for path, content in story.tree.items()
        if path.endswith("/MANIFEST")
    }
    for number, day in enumerate(days):
        run = story.runs[f"backfill {number}"]
        assert (run.reason, run.end.date()) == ("backfill", day)
        (manifest,) = [
            manifest
            for manifest in manifests.values()
            if manifest["reason"] == "backfill" and manifest["window"]["end"].startswith(str(day))
        ]
        assert manifest["omitted"] == {"snapshot/users": "a snapshot can't be taken in the past"}
        assert manifest["files"][0]["rows"] > 0


def test_the_same_window_again_is_nothing_new(story: Story) -> None:
    # XX-03
    assert story.states["again"] == "success"
    assert story.runs["again"].start == story.runs[EARLY].start
    assert not [path for path in story.tree if "__r" in path and "/_outfeed/" not in path]
    # The test export of one entity was this window's first delivery, the night its second, this run is none.
    assert not [path for path in story.tree if "__r3" in path]
