"""Housekeeping ends uploads to places to which nothing is delivered any more."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path

import pytest

from outfeed.connectors.base import Credentials, Outgoing
from outfeed.errors import Action, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import KEPT, UploadKey
from outfeed.steps.unfinished import FORGOTTEN_AFTER, TrackedUpload, end_stale
from tests.conformance.contents import BrokenStream, content, failure
from tests.conformance.places.s3 import S3Place
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

PATH = "site/large.csv"
LEFT = f"{PATH}?unfinished"

STALE = KEPT + dt.timedelta(minutes=1)
FORGOTTEN = FORGOTTEN_AFTER + dt.timedelta(minutes=1)


@pytest.fixture
def place(s3: S3Server) -> S3Place:
    """An empty prefix of a bucket."""
    return S3Place(s3)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A new ledger."""
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.migrate()
    return made


def leave(ledger: Ledger, place: S3Place) -> TrackedUpload:
    """An upload whose source failed for a while when two of its three parts were sent."""
    fence = ledger.begin_attempt("acme", "run-1", "upload", "s3", "try-1")
    key = UploadKey("acme", place.options.location(), PATH, 20_000_000, "0" * 64)
    tracked = TrackedUpload(ledger, fence, key)
    stream = BrokenStream(content(17_000_000), OSError("the store of staging is busy"))
    file = Outgoing(PATH, lambda: stream, key.size, key.sha256, unfinished=tracked)
    assert isinstance(failure(place.deliver(file)[PATH]), TransientError)
    assert place.names() == {LEFT}
    return tracked


def nightly(ledger: Ledger, place: S3Place, later: dt.timedelta) -> dict[str, int]:
    """What housekeeping does after a while."""
    known = {("acme", place.options.location()): place.options}
    return end_stale(ledger, known, lambda _: place.credentials, now() + later)


def test_what_nobody_has_touched_for_a_week_is_ended_at_its_place(ledger: Ledger, place: S3Place) -> None:
    # XX-03
    tracked = leave(ledger, place)
    assert nightly(ledger, place, KEPT - dt.timedelta(minutes=1)) == {"ended": 0, "kept": 0, "given_up": 0}
    assert place.names() == {LEFT}
    assert nightly(ledger, place, STALE) == {"ended": 1, "kept": 0, "given_up": 0}
    assert place.names() == set()
    assert tracked.load() is None


@pytest.mark.parametrize("why", ["unreachable", "no credentials", "in no configuration"])
def test_what_can_not_be_ended_is_tried_each_night_and_forgotten_after_a_month(
    ledger: Ledger, place: S3Place, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    # XX-03
    tracked = leave(ledger, place)
    reachable = place.credentials
    if why == "unreachable":
        (port,) = free_ports(1)
        extra = {**reachable.extra, "endpoint_url": f"http://127.0.0.1:{port}"}
        place.credentials = Credentials(login=reachable.login, password=reachable.password, extra=extra)

    def credentials(_: str | None) -> Credentials:
        if why == "no credentials":
            raise TerminalError("the Airflow connection 'acme_s3' is not defined", action=Action.OPERATOR)
        return place.credentials

    location = place.options.location()
    known = {} if why == "in no configuration" else {("acme", location): place.options}
    with caplog.at_level(logging.WARNING, "outfeed.steps.unfinished"):
        assert end_stale(ledger, known, credentials, now() + STALE) == {"ended": 0, "kept": 1, "given_up": 0}
        assert tracked.load() is not None
        assert "stays for now" in caplog.text
        assert "forgotten" not in caplog.text
        found = end_stale(ledger, known, credentials, now() + FORGOTTEN)
    assert found == {"ended": 0, "kept": 0, "given_up": 1}
    assert tracked.load() is None
    assert f"an upload of {PATH} to {location} could not be ended for 30 days" in caplog.text
    assert place.names() == {LEFT}


def test_an_upload_that_a_try_takes_up_meanwhile_is_not_forgotten(ledger: Ledger, place: S3Place) -> None:
    # XX-03
    tracked = leave(ledger, place)
    (record,) = ledger.unfinished.stale(now() + STALE)
    tracked.save(record.state)
    assert ledger.unfinished.forget(record) is False
    assert tracked.load() == record.state
