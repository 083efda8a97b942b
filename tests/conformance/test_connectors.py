"""What every connector promises, on each kind of destination with real servers (design §4, XX-04)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors.base import CheckState, Delivered, Outgoing, RemoteFile
from outfeed.errors import DestinationConflict, OutfeedError, TerminalError, TransientError
from tests.conformance.cases import Case, Cell, Scale, proves
from tests.conformance.contents import (
    BrokenStream,
    GeneratedStream,
    HeldStream,
    content,
    counted,
    failure,
    outgoing,
    stream,
)
from tests.conformance.places import Place

pytestmark = pytest.mark.servers

#: One request at S3 and GCS, and more than one.
SMALL, LARGE = 200_000, 9_000_000


@proves(Case.WHOLE)
@pytest.mark.parametrize("size", [pytest.param(0, marks=proves(Case.EMPTY)), 1, SMALL, LARGE])
def test_a_file_arrives_whole_and_verified(place: Place, size: int) -> None:
    # DX-031, DX-050, DX-070
    data = content(size)
    results = place.deliver(outgoing("site/data/file.json", data))

    digest = hashlib.sha256(data).hexdigest()
    assert results == {
        "site/data/file.json": Delivered("site/data/file.json", size, digest, "created", place.verified)
    }
    assert place.read("site/data/file.json") == data
    assert place.names() == {"site/data/file.json"}


@proves(Case.ABSENT)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_is_absent_until_it_is_complete(place: Place, size: int) -> None:
    # XX-04
    data = content(size)
    source = HeldStream(data, size - 1)
    results: dict[str, Any] = {}
    file = Outgoing("site/file", stream(lambda: source), size)
    delivery = threading.Thread(target=lambda: results.update(place.deliver(file)))
    delivery.start()
    try:
        assert source.reached.wait(60)
        seen = place.names()
        with place.connector("other.1") as connector:
            found = connector.stat("site/file")
    finally:
        source.go_on.set()
        delivery.join(120)

    assert "site/file" not in seen
    assert found is None
    assert isinstance(results["site/file"], Delivered)
    assert place.names() == {"site/file"}
    assert place.read("site/file") == data


@proves(Case.UNKNOWN_SIZE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_of_unknown_size_and_digest_arrives(place: Place, size: int) -> None:
    data = content(size)
    result = place.deliver(outgoing("file", data, size=None, sha256=None))["file"]

    assert (result.bytes, result.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert place.read("file") == data


@proves(Case.SAME)
@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_the_same_content_is_not_an_error(place: Place, size: int) -> None:
    data = content(size)
    place.deliver(outgoing("file", data))
    result = place.deliver(outgoing("file", data))["file"]

    assert (result.outcome, result.bytes, result.sha256) == (
        "identical",
        size,
        hashlib.sha256(data).hexdigest(),
    )
    assert result.verified in ("crc32c", "sha256", "read-back")
    assert place.names() == {"file"}


@proves(Case.OTHER)
@pytest.mark.parametrize(
    "new", [content(SMALL, 1), content(SMALL + 1), b""], ids=["bytes", "longer", "empty"]
)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_other_content_under_the_name_is_left_as_it_is(place: Place, size: int, new: bytes) -> None:
    # DX-063, D27
    old = content(size)
    place.deliver(outgoing("file", old))
    results = place.deliver(outgoing("file", new), outgoing("other", new))

    assert isinstance(failure(results["file"]), DestinationConflict)
    assert place.read("file") == old
    assert place.read("other") == new
    assert place.names() == {"file", "other"}


@proves(Case.SOURCE_FAILS)
def test_a_reader_that_fails_halfway_leaves_nothing(place: Place) -> None:
    for size in (SMALL, LARGE):
        data = content(size)
        broken = Outgoing("broken", stream(lambda data=data: BrokenStream(data[:-1], OSError("disk"))), size)
        results = place.deliver(broken, outgoing(f"whole {size}", data))

        assert isinstance(failure(results["broken"]), TransientError)
        assert isinstance(results[f"whole {size}"], Delivered)
        assert place.read(f"whole {size}") == data
    assert place.names() == {f"whole {SMALL}", f"whole {LARGE}"}


@proves(Case.SOURCE_FAILS)
def test_an_error_that_nobody_foresaw_is_raised_and_leaves_nothing(place: Place) -> None:
    data = content(LARGE)
    broken = Outgoing("broken", stream(lambda: BrokenStream(data[:-1], RuntimeError("a bug"))), None)

    with pytest.raises(RuntimeError, match="a bug"):
        place.deliver(broken)
    assert place.names() == set()


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({"size": -1}, marks=proves(Case.SOURCE_LONG)),
        pytest.param({"size": +1}, marks=proves(Case.SOURCE_SHORT)),
        pytest.param({"size": -1, "sha256": None}, marks=proves(Case.SOURCE_LONG)),
        pytest.param({"size": 1, "sha256": None}, marks=proves(Case.SOURCE_SHORT)),
        pytest.param({"sha256": "0" * 64}, marks=proves(Case.SOURCE_OTHER)),
    ],
    ids=["longer", "shorter", "longer without digest", "shorter without digest", "other digest"],
)
@pytest.mark.parametrize("size", [SMALL, LARGE, 8 << 20])
def test_a_source_that_is_not_as_declared_is_not_delivered(
    place: Place, size: int, declared: dict[str, Any]
) -> None:
    data = content(size)
    wrong = dict(declared)
    if "size" in wrong:
        wrong["size"] += size
    results = place.deliver(outgoing("wrong", data, **wrong), outgoing("right", b"right"))

    assert isinstance(failure(results["wrong"]), TerminalError)
    assert "declared" in str(failure(results["wrong"]))
    assert place.names() == {"right"}


@proves(Case.SOURCE_FAILS)
def test_a_source_that_is_gone_does_not_hold_up_the_others(place: Place, tmp_path: Path) -> None:
    missing = Outgoing("site/inputs/gone.png", stream(lambda: (tmp_path / "gone.png").open("rb")), 5)
    others = [outgoing(f"site/inputs/{number}.png", content(100, number)) for number in range(20)]
    results = place.deliver(*others[:10], missing, *others[10:])

    error = failure(results["site/inputs/gone.png"])
    assert "no such file" in error.what
    assert error.where == "site/inputs/gone.png"
    assert place.names() == {file.path for file in others}


@proves(Case.ODD_NAMES)
@pytest.mark.parametrize(
    "name",
    [
        "2025-03-16_00:00:00_2025-03-17_00:00:00.json",
        "with space.json",
        " leading and trailing ",
        "Größe – 写真 🗺.png",
        "e\u0301 decomposed",
        "per%20cent+plus&and=?#.json",
        "quote'\"$(rm).json",
        "-dash",
        "100%",
        "*?[a-z]{b}~!|<>.json",
        pytest.param("x" * 255, marks=proves(Case.LONG_NAMES)),
        pytest.param("é" * 127 + "x", marks=proves(Case.LONG_NAMES)),
        pytest.param("a/b/c/d/e/f/g/h/i/j/k/deep.json", marks=proves(Case.DEEP)),
        pytest.param("/".join(["a level"] * 99) + "/deep.json", marks=proves(Case.DEEP)),
    ],
)
def test_odd_names_arrive_as_they_are(place: Place, name: str) -> None:
    # DX-065
    data = name.encode()
    results = place.deliver(outgoing(name, data))

    assert isinstance(results[name], Delivered)
    assert place.names() == {name}
    assert place.read(name) == data


@proves(Case.TWIN_NAMES)
def test_the_two_forms_of_a_name_are_two_files(place: Place) -> None:
    # DX-065
    names = [unicodedata.normalize(form, "été/données à 1 €.json") for form in ("NFC", "NFD")]
    results = place.deliver(*(outgoing(name, name.encode()) for name in names))

    assert {type(result) for result in results.values()} == {Delivered}
    assert place.names() == set(names)
    assert [place.read(name) for name in names] == [name.encode() for name in names]


@proves(Case.LONG_NAMES)
@pytest.mark.parametrize(
    "name",
    ["x" * 256, "a/" + "y" * 300 + "/file", "/".join("z" * 200 for _ in range(6))],
    ids=["file", "folder", "path"],
)
def test_a_name_that_the_server_does_not_take_hits_only_its_file(place: Place, name: str) -> None:
    results = place.deliver(outgoing("before", b"data"), outgoing(name, b"data"), outgoing("after", b"data"))

    arrived = {path for path, result in results.items() if isinstance(result, Delivered)}
    assert {"before", "after"} <= arrived
    assert {path for path in place.names() if not path.endswith("/")} == arrived
    assert all(place.read(path) == b"data" for path in arrived)
    if name not in arrived:
        assert isinstance(failure(results[name]), TerminalError)
        assert failure(results[name]).remedy


@proves(Case.TRAVERSAL)
@pytest.mark.parametrize(
    "name", ["../outside", "/etc/outside", "a/../../outside", "a//b", "a/./b", "a\\b", "a\nb", "", "a/"]
)
def test_no_file_lands_outside_the_base(place: Place, name: str) -> None:
    # DX-052, DX-074
    results = place.deliver(outgoing(name, b"outside"), outgoing("inside", b"inside"))

    assert isinstance(failure(results[name]), TerminalError)
    assert place.names() == {"inside"}


@proves(Case.MANY)
def test_many_small_files_are_pulled_lazily_and_all_arrive(place: Place, amount: Scale) -> None:
    # DX-091
    def file(number: int) -> Outgoing:
        return outgoing(f"site {number % 7}/{number}.bin", content(number % 1009, number))

    pulled: list[str] = []
    done: set[str] = set()
    with place.connector(parallel=8) as connector:
        for result in connector.deliver(counted(map(file, range(amount.files)), pulled)):
            assert isinstance(result, Delivered)
            done.add(result.path)
            assert len(pulled) <= len(done) + 8
    assert place.sizes() == {
        f"site {number % 7}/{number}.bin": number % 1009 for number in range(amount.files)
    }
    for number in range(0, amount.files, amount.files // 10):
        with file(number).open() as source:
            assert place.read(f"site {number % 7}/{number}.bin") == source.read()


@proves(Case.LARGE)
def test_a_large_file_does_not_pass_through_memory_as_a_whole(
    place: Place, amount: Scale, cell: Cell
) -> None:
    size = amount.large
    if place.largest and size > place.largest[0]:
        size = place.largest[0]
        cell.smaller(place.largest[1])
    expected = hashlib.sha256()
    source = GeneratedStream(size)
    while block := source.read(1 << 20):
        expected.update(block)
    digest = expected.hexdigest()

    tracemalloc.start()
    try:
        file = Outgoing("large.bin", stream(lambda: GeneratedStream(size)), size, digest)
        result = place.deliver(file, parallel=1)["large.bin"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert result == Delivered("large.bin", size, digest, "created", place.verified)
    assert peak < 60_000_000
    assert place.sizes() == {"large.bin": size}
    assert place.sha256("large.bin") == digest
    place.remove("large.bin")


@proves(Case.TWO_WRITERS)
def test_two_writers_of_one_name_give_one_whole_file(place: Place) -> None:
    contents = {f"work {number}.1": content(SMALL, number) for number in range(6)}
    results: dict[str, Any] = {}
    barrier = threading.Barrier(len(contents))

    def write(attempt: str, data: bytes) -> None:
        with place.connector(attempt) as connector:
            barrier.wait(30)
            results[attempt] = next(iter(connector.deliver([outgoing("contested", data)])))

    threads = [threading.Thread(target=write, args=item) for item in contents.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    winners = [attempt for attempt, result in results.items() if isinstance(result, Delivered)]
    assert place.read("contested") in [contents[attempt] for attempt in winners]
    if place.connector().capabilities.conditional_create:
        assert len(winners) == 1
    assert all(
        isinstance(failure(result), DestinationConflict)
        for attempt, result in results.items()
        if attempt not in winners
    )
    assert place.names() == {"contested"}


@proves(Case.TWO_WRITERS)
def test_a_name_given_twice_is_delivered_once(place: Place) -> None:
    with place.connector() as connector:
        same = list(connector.deliver([outgoing("same", b"one")] * 5))
        other = list(connector.deliver([outgoing("other", b"one"), outgoing("other", b"two")]))

    assert (
        sorted(result.outcome for result in same if isinstance(result, Delivered))
        == ["created"] + ["identical"] * 4
    )
    assert sorted(type(result).__name__ for result in other) == ["Delivered", "Undelivered"]


@proves(Case.GIVEN_UP)
def test_a_delivery_that_is_given_up_leaves_no_temporary_names(place: Place) -> None:
    files = [outgoing(f"{number}", content(SMALL, number)) for number in range(50)]
    with place.connector() as connector:
        results = connector.deliver(files)
        first = next(results)
        results.close()  # type: ignore[attr-defined]

    names = place.names()
    assert first.path in names
    assert names <= {file.path for file in files}
    for name in names:
        assert place.read(name) == content(SMALL, int(name))


#: Delivers small files, and then hangs in the middle of large ones.
_DELIVERING_PROCESS = """
import json, sys, time
from outfeed.connectors import DestinationModel, open_connector
from outfeed.connectors.base import Credentials, Outgoing
from pydantic import TypeAdapter
from tests.conformance.contents import BrokenStream, content, outgoing

class HangingStream(BrokenStream):
    def read(self, size=-1):
        return self._data.read(size) or time.sleep(600)

def files(small, large):
    for n in range(small):
        yield outgoing(f"{n}", content(200_000, n))
    for n in range(small, small + large):
        yield Outgoing(f"{n}", lambda n=n: HangingStream(content(3_000_000, n)[:2_500_000], None), 3_000_000)

options, credentials, small, large = json.load(sys.stdin)
options = TypeAdapter(DestinationModel).validate_python(options)
with open_connector(options, Credentials(**credentials), attempt="work.1") as connector:
    for result in connector.deliver(files(small, large)):
        print(result, flush=True)
"""


@proves(Case.KILLED)
def test_a_try_that_is_killed_is_completed_by_the_next(place: Place) -> None:
    # XX-04, DX-091
    small, large = 40, 8
    root = Path(__file__).resolve().parents[2]
    task = [place.options.model_dump(mode="json"), dataclasses.asdict(place.credentials), small, large]
    with subprocess.Popen(
        [sys.executable, "-c", _DELIVERING_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root / 'include'}:{root}"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        lines = [process.stdout.readline() for _ in range(small)]
        process.kill()
    assert all(line.startswith(b"Delivered") for line in lines)

    contents = {f"{number}": content(200_000, number) for number in range(small)}
    contents |= {f"{number}": content(3_000_000, number) for number in range(small, small + large)}
    assert not place.names() & {f"{number}" for number in range(small, small + large)}
    results = place.deliver(*(outgoing(*item) for item in contents.items()), attempt="work.2")

    outcomes = [results[name].outcome for name in contents]
    assert outcomes == ["identical"] * small + ["created"] * large
    assert place.names() == set(contents)
    assert all(place.read(name) == data for name, data in contents.items())


@proves(Case.LISTING)
def test_the_servers_own_listing_and_ours_agree(place: Place) -> None:
    # DX-052
    files = {f"site {number % 3}/data/{number}.json": number * 1_000 for number in range(30)}
    place.deliver(*(outgoing(path, content(size)) for path, size in files.items()))

    assert place.sizes() == files
    with place.connector() as connector:
        found = [connector.stat(path) for path in files]
    assert {file.path: file.bytes for file in found if file is not None} == files


@proves(Case.LISTING)
def test_stat_tells_what_is_there(place: Place) -> None:
    place.deliver(outgoing("a/file", b"12345"))
    with place.connector() as connector:
        found = connector.stat("a/file")
        assert connector.stat("a/other") is None
        assert connector.stat("b/other") is None
        with pytest.raises(TerminalError):
            connector.stat("../file")

    assert isinstance(found, RemoteFile)
    assert (found.path, found.bytes) == ("a/file", 5)
    assert (found.checksum is None) == (place.connector().capabilities.checksum is None)


@proves(Case.PREFLIGHT)
def test_preflight_passes_and_leaves_nothing_behind(place: Place) -> None:
    # DX-086, DX-088
    checks = place.preflight()

    assert {check.state for check in checks} == {CheckState.PASSED}
    assert "clean up" in [check.step for check in checks]
    assert all(check.message for check in checks)
    assert place.names() == set()


@proves(Case.SECRETS)
def test_messages_and_representations_hold_no_secret(place: Place) -> None:
    # XX-06
    secrets = [
        str(value)
        for value in (place.credentials.password, place.credentials.extra.get("private_key"))
        if value is not None
    ]
    place.deliver(outgoing("file", b"old"))
    shown = [repr(place.connector()), repr(place.credentials), place.options.location(), repr(place.options)]
    shown += [str(check) for check in place.connector().preflight()]
    shown += [str(result) for result in place.deliver(outgoing("file", b"new")).values()]

    for secret in secrets:
        assert not any(secret in text or secret.strip().splitlines()[-2:][0] in text for text in shown)


@proves(Case.EXPLAINED)
def test_every_error_names_place_and_action(place: Place) -> None:
    place.deliver(outgoing("file", b"old"))
    error = failure(place.deliver(outgoing("file", b"new"))["file"])

    assert isinstance(error, OutfeedError)
    assert error.where
    assert error.action
    assert error.remedy
