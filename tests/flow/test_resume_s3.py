"""A large upload to S3 that ended in the middle is continued: what is sent again, what stays, what goes."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outfeed.connectors.base import Delivered
from outfeed.connectors.s3_parts import PART_SIZE, part_size
from outfeed.connectors.upload_state import read_state, write_state
from outfeed.errors import Action, DestinationConflict, SupersededError, TerminalError, TransientError
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import KEPT, UnfinishedRecord
from outfeed.steps import unfinished
from outfeed.steps.context import RunContext
from outfeed.windows import Window
from tests.conformance.contents import failure
from tests.conformance.places import S3Place
from tests.flow.resuming import NAME, NotingWire, Tries, behind, sha256, source_file
from tests.flow.world import DAY, SITE_A, World, config
from tests.hostile.http_wire import Answer, Request
from tests.hostile.patience import patience
from tests.hostile.tcp_wire import closing
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

SIZE = 5 * PART_SIZE + 1000

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


@pytest.fixture
def wire(s3: S3Server) -> Iterator[NotingWire]:
    """What lies between us and the store."""
    with closing(NotingWire(s3.port)) as made:
        yield made


@pytest.fixture
def place(s3: S3Server, wire: NotingWire) -> S3Place:
    """An empty prefix of a bucket, behind the proxy."""
    return behind(wire, S3Place(s3), "endpoint_url")


@pytest.fixture
def tries(place: S3Place, tmp_path: Path) -> Tries:
    """Tries to deliver one file of six parts."""
    source = source_file(tmp_path / "source", SIZE)
    return Tries(tmp_path, place.options, place.credentials, source)


def number(request: Request) -> int:
    """Of the part that a request brings; 0 if it brings none."""
    found = re.search(r"partNumber=(\d+)", request.path)
    return int(found[1]) if found else 0


def numbers(wire: NotingWire) -> list[int]:
    """The numbers of the parts that arrived, in order."""
    return sorted(number(request) for request in wire.parts)


def held(place: S3Place) -> set[int]:
    """The numbers of the parts that the store has of the only unfinished upload."""
    client, key = place.server.client(), f"{place.prefix}{NAME}"
    (upload,) = client.list_multipart_uploads(Bucket=place.bucket, Prefix=key)["Uploads"]
    listed = client.list_parts(Bucket=place.bucket, Key=key, UploadId=upload["UploadId"])
    return {part["PartNumber"] for part in listed.get("Parts", [])}


def object_sha256(place: S3Place) -> str:
    """Of the delivered object, read with Amazon's own client."""
    body = place.server.client().get_object(Bucket=place.bucket, Key=f"{place.prefix}{NAME}")["Body"]
    digest = hashlib.sha256()
    for block in body.iter_chunks(MIB):
        digest.update(block)
    return digest.hexdigest()


def test_a_killed_process_is_continued_by_another_that_sends_only_what_is_missing(
    place: S3Place, wire: NotingWire, tries: Tries, tmp_path: Path
) -> None:
    # XX-03, XX-04
    source_file(tries.source, 300_000_000)
    tries.killed(wire, 20)
    assert place.names() == {f"{NAME}?unfinished"}
    there = held(place)
    assert len(there) == 20
    assert [record.key.path for record in tries.unfinished()] == [NAME]

    wire.begin()
    with tries.begin() as process:
        assert process.wait(120) == 0
    assert numbers(wire) == sorted(set(range(1, 37)) - there)
    assert place.names() == {NAME}
    assert object_sha256(place) == sha256(tries.source)


def test_what_a_busy_service_has_is_not_sent_again(place: S3Place, wire: NotingWire, tries: Tries) -> None:
    # XX-03
    tries.cut(wire, 3)
    there = held(place)
    result = tries.deliver()
    assert (result.outcome, result.verified) == ("created", "sha256")
    assert numbers(wire) == sorted({1, 2, 3, 4, 5, 6} - there)
    assert object_sha256(place) == sha256(tries.source)


def test_a_part_that_is_another_is_sent_again(place: S3Place, wire: NotingWire, tries: Tries) -> None:
    # XX-03
    tries.cut(wire, 3)
    there = held(place)
    missing = sorted({1, 2, 3, 4, 5, 6} - there)
    client, key = place.server.client(), f"{place.prefix}{NAME}"
    (upload,) = client.list_multipart_uploads(Bucket=place.bucket, Prefix=key)["Uploads"]
    for one, body in ((missing[0], b"?" * PART_SIZE), (missing[1], b"short")):
        client.upload_part(
            Bucket=place.bucket,
            Key=key,
            UploadId=upload["UploadId"],
            PartNumber=one,
            Body=body,
            ChecksumAlgorithm="SHA256",
        )
    assert held(place) == {*there, *missing[:2]}
    assert isinstance(tries.deliver(), Delivered)
    assert numbers(wire) == missing
    assert object_sha256(place) == sha256(tries.source)


def test_other_content_never_continues_an_upload(
    place: S3Place, wire: NotingWire, tries: Tries, tmp_path: Path
) -> None:
    # XX-03
    tries.cut(wire, 3)
    tries.source = source_file(tmp_path / "other", SIZE, altered=SIZE - 1)
    assert isinstance(tries.deliver(), Delivered)
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]
    assert place.names() == {NAME}
    assert object_sha256(place) == sha256(tries.source)


def test_a_source_that_changed_ends_the_upload(
    place: S3Place, wire: NotingWire, tries: Tries, tmp_path: Path
) -> None:
    # XX-04
    tries.cut(wire, 3)
    declared = source_file(tmp_path / "declared", SIZE)
    source_file(tries.source, SIZE, altered=SIZE - 1)
    assert "not the declared" in str(failure(tries.deliver(declared)))
    assert place.names() == set()
    assert tries.unfinished() == []


def test_a_source_that_can_not_be_read_now_leaves_the_upload(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # XX-03
    tries.unreadable_after(wire, 4 * PART_SIZE)
    there = held(place)
    assert there
    assert isinstance(tries.deliver(), Delivered)
    assert numbers(wire) == sorted({1, 2, 3, 4, 5, 6} - there)
    assert object_sha256(place) == sha256(tries.source)


def test_a_name_that_was_taken_meanwhile_ends_the_upload(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # D27
    tries.cut(wire, 3)
    place.server.client().put_object(Bucket=place.bucket, Key=f"{place.prefix}{NAME}", Body=b"theirs")
    assert isinstance(failure(tries.deliver()), DestinationConflict)
    assert wire.parts == []
    assert place.names() == {NAME}
    assert place.read(NAME) == b"theirs"
    assert tries.unfinished() == []


def test_a_name_that_is_taken_at_the_end_ends_the_upload(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # D27
    def take(request: Request) -> None:
        if wire.kind_of(request) == "complete":
            place.server.client().put_object(Bucket=place.bucket, Key=f"{place.prefix}{NAME}", Body=b"theirs")

    wire.before = take
    assert isinstance(failure(tries.deliver()), DestinationConflict)
    assert place.names() == {NAME}
    assert place.read(NAME) == b"theirs"
    assert tries.unfinished() == []


def test_an_older_try_that_lives_on_finds_the_newer_ones_object(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # XX-03
    newer: list[Delivered] = []

    def overtake(request: Request) -> None:
        if wire.kind_of(request) == "complete" and not newer:
            newer.append(Delivered("", 0, "", "created", ""))
            newer[0] = tries.deliver()

    wire.before = overtake
    older = tries.deliver()
    assert [result.outcome for result in (*newer, older)] == ["created", "identical"]
    # The newer one sent nothing again: the older one's parts were all there.
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]
    assert place.names() == {NAME}
    assert object_sha256(place) == sha256(tries.source)


def test_an_older_try_begins_no_upload(place: S3Place, wire: NotingWire, tries: Tries) -> None:
    # XX-03
    older = tries.outgoing()
    newer = tries.outgoing()
    with pytest.raises(SupersededError):
        tries.send(older)
    assert place.names() == set()
    assert isinstance(tries.send(newer), Delivered)


def without(name: str, **changes: Any) -> Any:
    """Changes a saved state."""

    def change(text: str) -> str:
        values = read_state(text, "s3", 1) | changes
        values.pop(name, None)
        return write_state("s3", 1, values)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "{",
        lambda text: "[1]",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"kind": "s3"', '"kind": "gcs"'),
        without("part_size"),
        without("", part_size=5 << 20),
        without("", checksums=False),
        without("", key="testing/elsewhere/large.csv"),
        without("", upload="no-such-upload"),
    ],
)
def test_a_state_that_can_not_be_used_is_discarded(
    place: S3Place, wire: NotingWire, tries: Tries, change: Any
) -> None:
    # XX-03
    tries.cut(wire, 3)
    assert tries.with_other_state(change).outcome == "created"
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]
    assert place.names() == {NAME}
    assert object_sha256(place) == sha256(tries.source)


def test_a_store_that_tells_no_parts_gets_all_of_them_again(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    wire.before = lambda request: (
        wire.refusal(403, "AccessDenied") if request.method == "GET" and "uploadId=" in request.path else None
    )
    assert tries.deliver().outcome == "created"
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]
    assert place.names() == {NAME}


@pytest.mark.parametrize("told", [True, False])
def test_where_an_etag_is_no_md5_the_checksum_of_a_part_decides(
    place: S3Place, wire: NotingWire, tries: Tries, *, told: bool
) -> None:
    # XX-03
    tries.cut(wire, 0)
    sums: dict[int, str] = {}

    def note(request: Request) -> None:
        sums[number(request)] = request.header("x-amz-checksum-sha256")

    wire.before = note
    tries.cut(wire, 3)
    there = held(place)

    def as_amazon(request: Request, answer: Answer) -> None:
        """With a key of the customer's: its ETags say nothing, its listing has checksums."""
        if request.method != "GET" or "uploadId=" not in request.path:
            return
        listed = re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag>&quot;0&quot;</ETag>", answer.body)
        if told:
            for one in there:
                tag = f"<PartNumber>{one}</PartNumber>"
                summed = f"{tag}<ChecksumSHA256>{sums[one]}</ChecksumSHA256>"
                listed = listed.replace(tag.encode(), summed.encode())
        answer.body = listed
        answer.set("Content-Length", str(len(listed)))

    wire.after = as_amazon
    # The stand-in completes an upload with its own tags only.
    with contextlib.suppress(TransientError):
        tries.deliver()
    assert numbers(wire) == sorted({1, 2, 3, 4, 5, 6} - (there if told else set()))


def test_an_upload_that_can_not_be_completed_is_begun_anew(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # XX-03
    tries.cut(wire, 3)
    wire.before = lambda request: (
        wire.refusal(400, "InvalidPart") if wire.kind_of(request) == "complete" else None
    )
    with pytest.raises(TransientError, match="can't be completed"):
        tries.deliver()
    assert (place.names(), tries.unfinished()) == (set(), [])
    wire.before = lambda request: None
    wire.begin()
    assert tries.deliver().outcome == "created"
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]


def test_what_an_operator_mends_does_not_end_the_upload(
    place: S3Place, wire: NotingWire, tries: Tries
) -> None:
    # XX-03
    wire.before = lambda request: wire.refusal(403, "ExpiredToken") if number(request) > 3 else None
    with pytest.raises(TerminalError, match="refuses our credentials") as caught:
        tries.deliver()
    assert caught.value.action is Action.OPERATOR
    wire.settle()
    wire.before = lambda request: None
    wire.begin()
    assert tries.deliver().outcome == "created"
    assert numbers(wire) == [4, 5, 6]


# -- whole steps


@pytest.fixture
def world(place: S3Place, tmp_path: Path) -> World:
    """A customer whose only destination is the bucket, validated earlier."""
    options = place.options.model_dump(mode="json", exclude_defaults=True) | {"connection": "customer_s3"}
    made = World(tmp_path, config([options], site_id=[SITE_A]), {"s3": place.credentials})
    made.ledger.record_validation("acme", place.options.location(), "earlier")
    return made


RECORDS = {SITE_A: b'{"id":1}\n' * (SIZE // 9)}


def fails(world: World, wire: NotingWire, window: Window = DAY) -> RunContext:
    """A run whose first upload ends in the middle of the data file."""
    run = world.plan(window=window)
    world.package(run, RECORDS)
    wire.begin(limit=3)
    with patience(silent=False), pytest.raises(TransientError):
        world.upload(run, "s3")
    wire.settle()
    wire.begin()
    return run


def unfinished_of(world: World) -> list[UnfinishedRecord]:
    (destination,) = world.config.destinations
    return world.ledger.unfinished.abandoned("acme", destination.location(), now() + 2 * KEPT)


def test_the_next_try_of_the_step_goes_on(place: S3Place, wire: NotingWire, world: World) -> None:
    # XX-03
    run = fails(world, wire)
    assert len(unfinished_of(world)) == 1
    summary = world.upload(run, "s3", attempt="2-second")
    assert summary["outcome"] == "delivered"
    assert len(wire.parts) == 3
    assert unfinished_of(world) == []
    (data,) = [name for name in place.names() if name.endswith(".json")]
    assert place.read(data) == RECORDS[SITE_A]


def test_a_small_file_is_not_tracked(place: S3Place, wire: NotingWire, world: World) -> None:
    saved: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfinished.TrackedUpload, "save", lambda self, state: saved.append(state))
        world.deliver({SITE_A: b'{"id":1}\n' * (PART_SIZE // 9 * 2)})
        assert (len(wire.parts), saved) == (2, [])


def test_what_no_run_takes_up_again_is_ended_by_a_later_delivery(
    place: S3Place, wire: NotingWire, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-03
    fails(world, wire)
    (left,) = [name for name in place.names() if name.endswith("?unfinished")]
    later = Window(DAY.end, DAY.end + dt.timedelta(days=1))
    assert world.deliver({SITE_A: b'{"id":2}\n'}, window=later)["s3"]["outcome"] == "delivered"
    assert left in place.names()
    assert len(unfinished_of(world)) == 1

    monkeypatch.setattr(unfinished, "now", lambda: now() + KEPT)
    last = Window(later.end, later.end + dt.timedelta(days=1))
    assert world.deliver({SITE_A: b'{"id":3}\n'}, window=last)["s3"]["outcome"] == "delivered"
    assert left not in place.names()
    assert unfinished_of(world) == []


def test_an_upload_whose_name_another_run_delivered_is_ended(
    place: S3Place, wire: NotingWire, world: World
) -> None:
    # XX-03
    fails(world, wire)
    (left,) = [name for name in place.names() if name.endswith("?unfinished")]
    # The corrected data are smaller and go under the same name.
    world.deliver({SITE_A: b'{"id":2}\n'})
    assert left in place.names()
    world.deliver({SITE_A: b'{"id":2}\n'})
    assert left not in place.names()
    assert unfinished_of(world) == []


# -- sizes of parts


@given(st.integers(1, 5 * TIB))
def test_no_file_needs_more_or_larger_parts_than_s3_takes(size: int) -> None:
    parts = part_size(size)
    assert 5 * MIB <= parts <= 5 * GIB
    assert -(-size // parts) <= 10_000


def test_a_file_of_unknown_size_may_grow_as_large_as_s3_takes() -> None:
    number = total = 0
    while total < 5 * TIB:
        number += 1
        assert 5 * MIB <= part_size(None, number) <= 5 * GIB
        total += part_size(None, number)
    assert number <= 10_000
