"""Backfills of local days around the change of the clock: names, windows, repetition, revisions."""

from __future__ import annotations

from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import orjson
import pytest

from tests.system.stories.backfill import DAYS, Snapshot, Story
from tests.system.stories.stage import BACKFILLED

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
STORIES = ("backfill",)

#: Written by hand: 27 to 31 March 2026 in Paris, where clocks go forward on the 29th.
NAMES = [
    "2026-03-26_23:00:00_2026-03-27_23:00:00",
    "2026-03-27_23:00:00_2026-03-28_23:00:00",
    "2026-03-28_23:00:00_2026-03-29_22:00:00",
    "2026-03-29_22:00:00_2026-03-30_22:00:00",
    "2026-03-30_22:00:00_2026-03-31_22:00:00",
]
SHORT = NAMES[2]
DATA = f"{BACKFILLED}/data/work-orders-timeline"
FOLDER = "_outfeed/work-orders-timeline"


@pytest.fixture(scope="module")
def story(stories: dict[str, Future[Any]]) -> Story:
    """What happened."""
    told: Story = stories["backfill"].result()
    return told


def _data(snapshot: Snapshot) -> dict[str, bytes]:
    """Data files of March by name."""
    prefix = f"{DATA}/2026-03-"
    return {
        path.removeprefix(f"{DATA}/").removesuffix(".json"): content
        for path, content in snapshot.tree.items()
        if path.startswith(prefix) and content is not None and "2026-03-23" not in path
    }


def _manifest(snapshot: Snapshot, name: str) -> dict[str, Any]:
    content = snapshot.tree[f"{FOLDER}/{name}/MANIFEST"]
    assert content is not None
    loaded: dict[str, Any] = orjson.loads(content)
    return loaded


def test_each_local_day_becomes_a_file_of_its_own_and_the_files_abut(story: Story) -> None:
    # DX-066, XX-02, DX-018, DX-064, DX-065
    assert story.first.states == {"success"}
    assert sorted(_data(story.first)) == NAMES
    for earlier, later in pairwise(NAMES):
        assert earlier.split("_", 2)[2] == later.rsplit("_", 2)[0]
    assert [(start[:19], end[:19]) for start, end in story.first.windows] == [
        tuple(part.replace("_", "T") for part in (name[:19], name[20:])) for name in NAMES
    ]


def test_every_day_has_records_and_one_complete_delivery(story: Story) -> None:
    # XX-02, XX-05, XX-08
    for name, content in _data(story.first).items():
        manifest = _manifest(story.first, name)
        assert manifest["reason"] == "backfill"
        assert manifest["totals"]["rows"] == content.count(b"\n") > 0
        assert f"{FOLDER}/{name}/_SUCCESS" in story.first.tree
    assert len(story.first.receipts) == DAYS
    assert {receipt.revision for receipt in story.first.receipts} == {1}


def test_a_record_belongs_to_the_day_in_which_it_changed(story: Story) -> None:
    # DX-066, DX-100, XX-02
    lines = 0
    for name, content in _data(story.first).items():
        start, end = (f"{bound[:10]}T{bound[11:]}" for bound in (name[:19], name[20:]))
        for line in content.splitlines():
            record = orjson.loads(line)
            assert start <= (record["update_date"] or record["create_date"]) < end
            lines += 1
    assert lines > DAYS


def test_the_same_days_again_send_nothing(story: Story) -> None:
    # XX-03, DX-063, DX-106
    assert story.again.states == {"success"}
    assert story.again.windows == story.first.windows
    assert story.again.tree == story.first.tree
    assert story.again.times == story.first.times
    assert story.again.receipts == story.first.receipts


def test_a_changed_day_alone_becomes_a_revision_that_names_what_it_supersedes(story: Story) -> None:
    # XX-03, DX-063
    before, after = story.again, story.changed
    assert after.states == {"success"}
    assert story.changed_records > 0
    assert {path: after.tree.get(path) for path in before.tree} == before.tree
    unchanged = {path: time for path, time in before.times.items() if before.tree[path] is not None}
    assert {path: after.times[path] for path in unchanged} == unchanged

    added = {path for path in after.tree.keys() - before.tree.keys() if after.tree[path] is not None}
    assert {path for path in added if not path.endswith("/IMAGES")} == {
        f"{DATA}/{SHORT}__r2.json",
        *(f"{FOLDER}/{SHORT}__r2/{name}" for name in ("MANIFEST", "SHA256SUMS", "_SUCCESS")),
    }
    first, second = _manifest(after, SHORT), _manifest(after, f"{SHORT}__r2")
    assert (second["revision"], second["supersedes"]) == (2, first["delivery_id"])
    (file,) = second["files"]
    assert file["supersedes"] == f"{DATA}/{SHORT}.json"
    assert {len(snapshot.receipts) for snapshot in (before, after)} == {DAYS, DAYS + 1}


def test_the_revision_holds_the_same_records_with_the_change(story: Story) -> None:
    # XX-02, XX-03
    old, new = (
        [orjson.loads(line) for line in _data(story.changed)[name].splitlines()]
        for name in (SHORT, f"{SHORT}__r2")
    )
    assert [record["id"] for record in new] == [record["id"] for record in old]
    assert {record["progress_score"] for record in new} == {1}
    assert [{**record, "progress_score": None} for record in new] == [
        {**record, "progress_score": None} for record in old
    ]
