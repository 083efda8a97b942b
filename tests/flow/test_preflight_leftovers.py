"""What a preflight whose connection was cut left in a bucket goes with a later one, and nothing else goes."""

from __future__ import annotations

import datetime as dt

import pytest

from outfeed.connectors import preflight_object
from outfeed.connectors.preflight_object import LEFT_AFTER, PREFLIGHT_FOLDER, TEST_CONTENT, Listed, leftovers
from tests.conformance.places.azure_blob import AzureBlobPlace
from tests.conformance.places.base import Place
from tests.conformance.places.gcs import GcsPlace
from tests.conformance.places.google import GooglePlace
from tests.conformance.places.s3 import S3Place

pytestmark = pytest.mark.servers

LEFT = f"{PREFLIGHT_FOLDER}/5f2b9c01d4e7.scheduled-1~0a1b2c3d"

#: What lies beside it and is not ours to remove.
THEIRS = {
    f"{PREFLIGHT_FOLDER}/notes.txt": TEST_CONTENT,
    f"{PREFLIGHT_FOLDER}/work.1~0a1b2c3d": b"something else of the same name",
    f"{PREFLIGHT_FOLDER}/deeper/work.1~0a1b2c3d": TEST_CONTENT,
    f"{PREFLIGHT_FOLDER}-2/work.1~0a1b2c3d": TEST_CONTENT,
    "site/work.1~0a1b2c3d": TEST_CONTENT,
}


@pytest.fixture(params=[S3Place, GcsPlace, GooglePlace, AzureBlobPlace], ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty prefix of a bucket, with an object that a broken preflight has left and others."""
    made: Place = request.param.start(request)
    for path, data in {LEFT: TEST_CONTENT, **THEIRS}.items():
        made.put(path, data)
    return made


def test_the_next_preflight_removes_what_a_broken_one_left_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stores let nobody write in the past.
    monkeypatch.setattr(preflight_object, "LEFT_AFTER", dt.timedelta(minutes=-10))
    (clean_up,) = [check for check in place.preflight() if check.step == "clean up"]
    assert clean_up.message == "nothing was left behind; objects of broken preflights removed: 1"
    assert place.names() == set(THEIRS)


def test_an_object_of_a_preflight_that_may_still_run_stays(place: Place) -> None:
    (clean_up,) = [check for check in place.preflight() if check.step == "clean up"]
    assert clean_up.message == "nothing was left behind"
    assert place.names() == {LEFT, *THEIRS}


def test_only_what_is_older_than_an_hour_by_the_stores_clock_was_left() -> None:
    now = dt.datetime(2026, 3, 29, 1, 0, tzinfo=dt.UTC)
    old, young = now - LEFT_AFTER - dt.timedelta(seconds=1), now - LEFT_AFTER
    listed = [Listed(f"{PREFLIGHT_FOLDER}/work.{n}~0a1b2c3d", 18, at) for n, at in enumerate([old, young])]
    assert leftovers(listed, now) == [f"{PREFLIGHT_FOLDER}/work.0~0a1b2c3d"]
