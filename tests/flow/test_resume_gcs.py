"""A large upload to Google that ended in the middle is continued; its address is nowhere in the clear."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors.base import Delivered
from outfeed.connectors.gcs import CHUNK_SIZE
from outfeed.connectors.upload_state import read_state, write_state
from outfeed.errors import DestinationConflict, SupersededError, TransientError
from tests.conformance.contents import failure
from tests.conformance.places import GcsPlace
from tests.flow.resuming import NAME, NotingWire, Tries, behind, sha256, source_file
from tests.hostile.http_wire import Answer, GcsWire, Request
from tests.hostile.patience import patience
from tests.hostile.tcp_wire import closing
from tests.servers.gcs import GcsServer

pytestmark = pytest.mark.servers

SIZE = 5 * CHUNK_SIZE + 1000


class NotingGcs(NotingWire, GcsWire):
    """Uploads in several requests by Google's protocol, and which of them have arrived.

    Attributes:
        ended: uploads that a client has ended.
    """

    def __init__(self, target: int) -> None:
        self.ended: set[str] = set()
        super().__init__(target)

    def _limited(self, request: Request) -> Answer:
        key = request.path.rpartition("/")[2]
        if not request.path.startswith("/upload/resumable/"):
            return super()._limited(request)
        if request.method == "DELETE":
            self.ended.add(key)
            return Answer(499, [("Content-Length", "0")])
        if key in self.ended or key not in self._sessions:
            return self.refusal(410, "gone")
        return super()._limited(request)

    @property
    def under_way(self) -> set[str]:
        """Uploads that are neither complete nor ended."""
        return {key for key, one in self._sessions.items() if one.answer is None} - self.ended

    def ranges(self) -> list[str]:
        """Which bytes arrived, in order."""
        return [request.header("content-range").partition("/")[0] for request in self.parts]


@pytest.fixture
def wire(gcs: GcsServer) -> Iterator[NotingGcs]:
    """What lies between us and the service."""
    with closing(NotingGcs(gcs.port)) as made:
        yield made


@pytest.fixture
def place(gcs: GcsServer, wire: NotingGcs) -> GcsPlace:
    """An empty bucket behind the proxy, and a key that only workers have."""
    made = behind(wire, GcsPlace(gcs), "api_endpoint")
    key = hashlib.sha256(str(wire.port).encode()).hexdigest()
    made.credentials = dataclasses.replace(made.credentials, sealing_key=key)
    return made


@pytest.fixture
def tries(place: GcsPlace, tmp_path: Path) -> Tries:
    """Tries to deliver one file of six chunks."""
    source = source_file(tmp_path / "source", SIZE)
    return Tries(tmp_path, place.options, place.credentials, source)


def chunks(first: int, last: int) -> list[str]:
    """The ranges of chunks by their numbers."""
    return [
        f"bytes {number * CHUNK_SIZE}-{min((number + 1) * CHUNK_SIZE, SIZE) - 1}"
        for number in range(first - 1, last)
    ]


def object_sha256(gcs: GcsServer, place: GcsPlace) -> str:
    """Of the delivered object, read with Google's own client."""
    content = gcs.client().bucket(place.bucket).blob(f"testing/{NAME}").download_as_bytes()
    return hashlib.sha256(content).hexdigest()


def test_a_killed_process_is_continued_by_another_that_sends_only_what_is_missing(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03, XX-04
    source_file(tries.source, 150_000_000)
    tries.killed(wire, 9)
    assert place.names() == set()
    wire.begin()
    with tries.begin() as process:
        assert process.wait(120) == 0
    assert wire.bytes == 150_000_000 - 9 * CHUNK_SIZE
    assert wire.under_way == set()
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_what_a_busy_service_has_is_not_sent_again(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    result = tries.deliver()
    assert (result.outcome, result.verified) == ("created", "crc32c")
    assert wire.ranges() == chunks(4, 6)
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_a_chunk_of_which_the_service_kept_a_part_is_continued_there(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    kept = 1 << 18

    def shorten(request: Request) -> None:
        if request.header("content-range").startswith(f"bytes {CHUNK_SIZE}-"):
            request.body = request.body[:kept]

    wire.before = shorten
    assert isinstance(tries.deliver(), Delivered)
    first, cut_off, rest, *others = wire.ranges()
    assert [first, cut_off, *others] == [*chunks(1, 2), *chunks(3, 6)]
    assert rest == f"bytes {CHUNK_SIZE + kept}-{2 * CHUNK_SIZE - 1}"
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_a_chunk_whose_answer_was_lost_is_not_sent_again(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    lost: list[str] = []

    def lose(request: Request, answer: Answer) -> None:
        if request.header("content-range").startswith(f"bytes {CHUNK_SIZE}-") and not lost:
            lost.append(request.path)
            answer.status = 503

    wire.after = lose
    with patience(silent=False):
        assert isinstance(tries.deliver(), Delivered)
    assert len(lost) == 1
    assert wire.ranges() == chunks(1, 6)
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_the_address_of_an_upload_is_nowhere_in_the_clear(
    place: GcsPlace, wire: NotingGcs, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    # XX-06
    caplog.set_level(logging.INFO)
    error: BaseException | None = tries.cut(wire, 3)
    (key,) = wire.under_way
    assert key not in (tries.home / "ledger.db").read_bytes().decode("latin-1")
    for file in tries.home.glob("ledger.db*"):
        assert f"resumable/{key}".encode() not in file.read_bytes()
    while error is not None:
        assert f"resumable/{key}" not in str(error)
        error = error.__cause__ or error.__context__
    assert f"resumable/{key}" not in caplog.text
    (record,) = tries.unfinished()
    assert read_state(record.state, "gcs", 1)["upload"].startswith("gAAAA")


def test_without_a_key_an_upload_begins_anew_and_leaves_no_trace_in_the_ledger(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    tries.credentials = dataclasses.replace(tries.credentials, sealing_key=None)
    tries.cut(wire, 3)
    assert tries.unfinished() == []
    assert isinstance(tries.deliver(), Delivered)
    assert wire.bytes == SIZE


def test_a_key_that_is_rotated_still_opens_what_the_older_one_sealed(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    rotated = f"newer,{tries.credentials.sealing_key}"
    tries.credentials = dataclasses.replace(tries.credentials, sealing_key=rotated)
    assert isinstance(tries.deliver(), Delivered)
    assert wire.ranges() == chunks(4, 6)


def test_other_content_never_continues_an_upload(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries, tmp_path: Path
) -> None:
    # XX-03
    tries.cut(wire, 3)
    tries.source = source_file(tmp_path / "other", SIZE, altered=SIZE - 1)
    assert isinstance(tries.deliver(), Delivered)
    assert wire.ranges() == chunks(1, 6)
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_bytes_that_changed_on_the_way_create_nothing_and_the_next_try_begins_anew(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-04
    def change(request: Request) -> None:
        if request.header("content-range").startswith("bytes 0-"):
            request.body = b"!" + request.body[1:]

    wire.before = change
    tries.cut(wire, 3)
    wire.before = lambda request: None
    with pytest.raises(TransientError, match="can't be completed"):
        tries.deliver()
    assert (place.names(), wire.under_way, tries.unfinished()) == (set(), set(), [])
    wire.begin()
    assert isinstance(tries.deliver(), Delivered)
    assert wire.ranges() == chunks(1, 6)
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_a_source_that_changed_ends_the_upload(
    place: GcsPlace, wire: NotingGcs, tries: Tries, tmp_path: Path
) -> None:
    # XX-04
    tries.cut(wire, 3)
    declared = source_file(tmp_path / "declared", SIZE)
    source_file(tries.source, SIZE, altered=SIZE - 1)
    assert "not the declared" in str(failure(tries.deliver(declared)))
    assert (place.names(), wire.under_way, tries.unfinished()) == (set(), set(), [])


def test_a_source_that_can_not_be_read_now_leaves_the_upload(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    tries.unreadable_after(wire, 2 * CHUNK_SIZE)
    assert isinstance(tries.deliver(), Delivered)
    assert wire.ranges() == chunks(3, 6)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_name_that_was_taken_ends_the_upload(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries, *, at_the_end: bool
) -> None:
    # D27
    tries.cut(wire, 3)
    theirs = gcs.client().bucket(place.bucket).blob(f"testing/{NAME}")

    def take(request: Request) -> None:
        if request.header("content-range").startswith(chunks(6, 6)[0]):
            theirs.upload_from_string("theirs")

    if at_the_end:
        wire.before = take
    else:
        theirs.upload_from_string("theirs")
    assert isinstance(failure(tries.deliver()), DestinationConflict)
    assert place.read(NAME) == b"theirs"
    assert tries.unfinished() == []
    assert len(wire.parts) == (3 if at_the_end else 0)


def test_an_upload_that_can_not_be_ended_fails_no_delivery(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    gcs.client().bucket(place.bucket).blob(f"testing/{NAME}").upload_from_filename(tries.source)
    # It breaks off the connection.
    wire.before = lambda request: Answer(0, []) if request.method == "DELETE" else None
    assert tries.deliver().outcome == "identical"
    assert tries.unfinished() == []


def test_an_older_try_that_lives_on_finds_the_newer_ones_object(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    newer: list[Any] = []

    def overtake(request: Request) -> None:
        if request.header("content-range").startswith(chunks(4, 4)[0]) and not newer:
            newer.append(None)
            newer[0] = tries.deliver()

    wire.before = overtake
    older = tries.deliver()
    assert newer[0].outcome == "created"
    assert isinstance(older, Delivered)
    assert older.sha256 == sha256(tries.source)
    assert place.names() == {NAME}
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_an_older_try_begins_no_upload(place: GcsPlace, wire: NotingGcs, tries: Tries) -> None:
    # XX-03
    older = tries.outgoing()
    newer = tries.outgoing()
    with pytest.raises(SupersededError):
        tries.send(older)
    assert (wire.under_way, wire.parts) == (set(), [])
    assert isinstance(tries.send(newer), Delivered)


def changed(**changes: Any) -> Any:
    """Changes a saved state."""
    return lambda text: write_state("gcs", 1, read_state(text, "gcs", 1) | changes)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "{",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"kind": "gcs"', '"kind": "s3"'),
        changed(upload="gAAAAsomething"),
        changed(name="testing/elsewhere/large.csv"),
        changed(content_type="text/csv"),
    ],
)
def test_a_state_that_can_not_be_used_is_discarded(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries, change: Any
) -> None:
    # XX-03
    tries.cut(wire, 3)
    assert tries.with_other_state(change).outcome == "created"
    assert wire.ranges() == chunks(1, 6)
    assert object_sha256(gcs, place) == sha256(tries.source)


def test_an_upload_that_is_gone_begins_anew(
    gcs: GcsServer, place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    wire.ended |= wire.under_way
    assert tries.deliver().outcome == "created"
    assert wire.ranges() == chunks(1, 6)


def test_an_upload_that_is_ended_on_the_way_is_transient(
    place: GcsPlace, wire: NotingGcs, tries: Tries
) -> None:
    # XX-03
    def end(request: Request) -> None:
        if request.header("content-range").startswith(chunks(4, 4)[0]):
            wire.ended |= wire.under_way

    wire.before = end
    with pytest.raises(TransientError, match="somebody ended the upload"):
        tries.deliver()
    assert tries.unfinished() == []
    wire.before = lambda request: None
    assert tries.deliver().outcome == "created"


def test_what_no_try_will_continue_is_ended(place: GcsPlace, wire: NotingGcs, tries: Tries) -> None:
    # XX-03
    tries.cut(wire, 3)
    (record,) = tries.unfinished()
    assert len(wire.under_way) == 1
    with place.connector() as connector:
        connector.abandon(NAME, "{")
        connector.abandon(NAME, record.state)
        connector.abandon(NAME, record.state)
    assert wire.under_way == set()
