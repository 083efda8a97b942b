"""A large file to an SFTP server that ended in the middle: what is sent again, what stays, what goes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors import sftp_file, sftp_resume
from outfeed.connectors.base import Delivered, Outgoing
from outfeed.connectors.sftp_base import UNFINISHED, SftpBase
from outfeed.connectors.transfer import TEMPORARY_FOLDER
from outfeed.connectors.upload_state import read_state, write_state
from outfeed.errors import SupersededError, TerminalError, TransientError
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import KEPT
from outfeed.steps import unfinished
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import SftpPlace
from tests.flow.resuming import NAME, Tries, sha256, source_file
from tests.flow.world import DAY, SITE_A, World, config
from tests.servers.proftpd import proftpd_sftp_server
from tests.servers.proxy import TcpProxy, tcp_proxy
from tests.servers.small_disk import small_disk
from tests.servers.sshd import SshServer, ssh_server

pytestmark = pytest.mark.servers

MIB = 1 << 20

#: The first two notes of a file of this size lie before the point where it stops.
SIZE, STOP, NOTED = 160 * MIB, 140 * MIB, 128 * MIB

#: What SSH, the requests and their headers add to what is sent, at most; and how much is read to compare it.
OVERHEAD, SAMPLES = MIB, 3 * MIB

#: Of a file that is small and tracked all the same: its size, and after how much each note is made.
SMALL, STEP = 3_000_000, MIB


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Any:
    """OpenSSH, unless a test asks for another one."""
    return request.getfixturevalue(getattr(request, "param", "sshd"))


@pytest.fixture
def overwriting() -> Iterator[SshServer]:
    """A ProFTPD that lets files be written that exist, which others let by themselves."""
    with proftpd_sftp_server("AllowOverwrite on") as running:
        yield running


@pytest.fixture
def proxy(server: SshServer) -> Iterator[TcpProxy]:
    """A proxy in front of the server."""
    with tcp_proxy(server.port) as running:
        yield running


@pytest.fixture
def place(server: SshServer, proxy: TcpProxy) -> SftpPlace:
    """An empty base directory, behind the proxy."""
    made = SftpPlace(server)
    made.options = made.options.model_copy(update={"sftp_port": proxy.port})
    return made


@pytest.fixture
def tries(place: SftpPlace, tmp_path: Path) -> Tries:
    """Tries to deliver one large file."""
    return Tries(tmp_path, place.options, place.credentials, source_file(tmp_path / "source", SIZE))


def noted(tries: Tries) -> int:
    """Up to where the ledger says that the file is at the server."""
    return max((read_state(row.state, "sftp", 1)["offset"] for row in tries.unfinished()), default=0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def stuck(tries: Tries, proxy: TcpProxy) -> Iterator[subprocess.Popen[bytes]]:
    """A try in a process of its own that is held up after its second note, and killed at the end."""
    proxy.hold_after(STOP)
    with tries.begin() as process:
        try:
            wait_for(lambda: proxy.holds and noted(tries) == NOTED)
            yield process
        finally:
            process.kill()


def assert_whole(place: SftpPlace, source: Path) -> None:
    """The file alone is there, as `sha256sum` sees it."""
    summed = subprocess.run(["sha256sum", place.folder / NAME], capture_output=True, text=True, check=True)
    assert summed.stdout.split()[0] == sha256(source)
    assert place.names() == {NAME}


# -- large files, in processes that end


def test_a_killed_process_is_continued_by_another_that_sends_only_what_is_missing(
    place: SftpPlace, proxy: TcpProxy, tries: Tries
) -> None:
    # XX-03, XX-04
    with stuck(tries, proxy):
        assert NAME not in place.names()
    proxy.release()
    wait_for(lambda: not proxy.halves)

    sent, read = proxy.client_bytes, proxy.server_bytes
    with tries.begin() as process:
        pass
    assert process.returncode == 0
    assert SIZE - NOTED < proxy.client_bytes - sent < SIZE - NOTED + OVERHEAD
    assert proxy.server_bytes - read < SAMPLES
    assert_whole(place, tries.source)


def test_after_a_cut_only_what_is_missing_is_sent(place: SftpPlace, proxy: TcpProxy, tries: Tries) -> None:
    # XX-03, XX-04
    proxy.cut_after(STOP)
    with pytest.raises(TransientError, match="connection was lost"):
        tries.deliver()
    assert noted(tries) == NOTED

    before = proxy.client_bytes
    assert tries.deliver().outcome == "created"
    assert proxy.client_bytes - before < SIZE - NOTED + OVERHEAD
    assert_whole(place, tries.source)


def test_an_older_try_that_wakes_up_after_the_newer_one_does_no_harm(
    place: SftpPlace, proxy: TcpProxy, tries: Tries
) -> None:
    # XX-03, XX-04
    with stuck(tries, proxy) as older:
        before = proxy.client_bytes
        assert tries.deliver().outcome == "created"
        assert proxy.client_bytes - before < SIZE - NOTED + OVERHEAD
        proxy.release()
        assert older.wait(120) != 0
    assert_whole(place, tries.source)


# -- what makes a part unusable


@dataclasses.dataclass
class Kept:
    """An `UnfinishedUpload` in memory."""

    state: str | None = None
    saved: list[int] = dataclasses.field(default_factory=list)
    #: Called when the second note is made.
    then: Callable[[], None] = lambda: None

    def load(self) -> str | None:
        return self.state

    def save(self, state: str) -> None:
        self.state = state
        self.saved.append(self.values["offset"])
        if len(self.saved) == 2:
            self.then()

    def clear(self) -> None:
        self.state = None

    @property
    def values(self) -> dict[str, Any]:
        assert self.state is not None
        return read_state(self.state, "sftp", 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are noted, too, and nobody waits for an older try."""
    monkeypatch.setattr(sftp_resume, "NOTE_EVERY", STEP)
    monkeypatch.setattr(sftp_resume, "QUIET", 0.0)


def begun(place: SftpPlace, proxy: TcpProxy, file: Outgoing) -> Path:
    """What a try that is cut after its second note leaves of a small file."""
    assert isinstance(file.unfinished, Kept)
    file.unfinished.then = proxy.cut
    proxy.hold_after(SMALL - STEP // 2)
    with pytest.raises(TransientError, match="connection was lost"):
        place.deliver(file)
    (part,) = (place.folder / TEMPORARY_FOLDER).glob(f"work.1~*/{UNFINISHED}*")
    return part


def sent(place: SftpPlace, proxy: TcpProxy, *files: Outgoing, attempt: str = "work.2") -> int:
    """How much a delivery of files sends."""
    before = proxy.client_bytes
    results = place.deliver(*files, attempt=attempt)
    assert all(isinstance(result, Delivered) for result in results.values())
    return proxy.client_bytes - before


def cut_short(part: Path, kept: Kept) -> None:
    with part.open("r+b") as stream:
        stream.truncate(kept.values["offset"] - 1)


def changed_at(offset: int) -> Callable[[Path, Kept], None]:
    def change(part: Path, kept: Kept) -> None:
        with part.open("r+b") as stream:
            stream.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            stream.write(b"?")

    return change


def no_longer(part: Path, kept: Kept) -> None:
    part.unlink()


def noted_by_another_version(part: Path, kept: Kept) -> None:
    kept.state = write_state("sftp", 99, kept.values)


def noted_under_a_foreign_path(part: Path, kept: Kept) -> None:
    kept.state = write_state("sftp", 1, kept.values | {"name": "../../precious"})


def noted_beyond_the_end(part: Path, kept: Kept) -> None:
    kept.state = write_state("sftp", 1, kept.values | {"offset": SMALL + 1})


@pytest.mark.parametrize("server", ["sshd", "overwriting"], indirect=True)
def test_a_part_is_continued_by_a_later_try(place: SftpPlace, proxy: TcpProxy, small: None) -> None:
    # XX-03
    kept, data = Kept(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    part = begun(place, proxy, file)
    assert kept.saved == [STEP, 2 * STEP]
    assert part.read_bytes()[: 2 * STEP] == data[: 2 * STEP]
    # What follows the note, a part that was never noted and other files do not change it.
    with part.open("ab") as stream:
        stream.write(content(SMALL, 1))
    part.with_name(f"{UNFINISHED}00").write_bytes(b"of no use")

    assert sent(place, proxy, outgoing("other", b"data"), file) < SMALL - 2 * STEP + OVERHEAD // 4
    assert place.names() == {"site/file", "other"}
    assert place.read("site/file") == data


@pytest.mark.parametrize("server", ["sshd", "proftpd_sftp"], indirect=True)
def test_only_what_the_server_has_acknowledged_and_synced_is_noted(
    place: SftpPlace, proxy: TcpProxy, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-03
    synced: list[bool] = []
    original = sftp_file.SftpDelivery._sync

    async def sync(self: Any, session: Any, handle: Any) -> None:
        await original(self, session, handle)
        synced.append(True)

    class Checking(Kept):
        def save(self, state: str) -> None:
            super().save(state)
            assert len(synced) >= len(self.saved)

    monkeypatch.setattr(sftp_file.SftpDelivery, "_sync", sync)
    kept = Checking()
    file = outgoing("file", content(SMALL), unfinished=kept)
    proxy.hold_after(STEP // 2)
    with ThreadPoolExecutor(1) as pool:
        delivery = pool.submit(place.deliver, file)
        try:
            wait_for(lambda: proxy.holds)
            time.sleep(0.5)
            assert kept.saved == []
        finally:
            proxy.release()
        assert isinstance(delivery.result()["file"], Delivered)
    assert kept.saved == [STEP, 2 * STEP]


@pytest.mark.parametrize(
    "change",
    [
        changed_at(0),
        changed_at(2 * STEP - 1),
        changed_at(2 * STEP - 900_000),
        cut_short,
        no_longer,
        noted_by_another_version,
        noted_under_a_foreign_path,
        noted_beyond_the_end,
    ],
    ids=["beginning", "last byte", "end", "short", "gone", "version", "path", "offset"],
)
def test_a_part_that_can_not_be_used_is_begun_anew(
    place: SftpPlace, proxy: TcpProxy, small: None, change: Callable[[Path, Kept], None]
) -> None:
    # XX-03
    kept, data = Kept(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    precious = place.folder / "precious"
    precious.write_bytes(data)
    change(begun(place, proxy, file), kept)

    assert sent(place, proxy, file) > SMALL
    assert place.names() == {"site/file", "precious"}
    assert place.read("site/file") == place.read("precious") == data


@pytest.mark.parametrize("server", ["proftpd_sftp"], indirect=True)
def test_a_server_that_opens_no_file_again_gets_the_whole_one(
    place: SftpPlace, proxy: TcpProxy, small: None
) -> None:
    # XX-03
    data = content(SMALL)
    file = outgoing("site/file", data, unfinished=Kept())
    begun(place, proxy, file)
    assert sent(place, proxy, file) > SMALL
    assert place.names() == {"site/file"}
    assert place.read("site/file") == data


@pytest.mark.parametrize("server", ["sshd", "overwriting"], indirect=True)
def test_a_part_that_an_older_try_is_still_writing_is_left_to_it(
    place: SftpPlace, proxy: TcpProxy, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-03, XX-04
    kept, data = Kept(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    look = SftpBase.attributes
    with begun(place, proxy, file).open("ab") as older:

        async def attributes(self: SftpBase, session: Any, path: str) -> Any:
            found = await look(self, session, path)
            if UNFINISHED in path:
                older.write(b"still alive")
                older.flush()
            return found

        monkeypatch.setattr(SftpBase, "attributes", attributes)
        assert sent(place, proxy, file) > SMALL
        older.seek(0)
        older.write(b"later, too")
    assert place.names() == {"site/file"}
    assert place.read("site/file") == data


def test_read_back_reads_what_an_older_try_has_sent(place: SftpPlace, proxy: TcpProxy, small: None) -> None:
    # XX-03
    kept, data = Kept(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    part = begun(place, proxy, file)
    # Between the samples, as a disk might alter it.
    compared = set(sftp_resume._pieces(part.name, 2 * STEP))
    unseen = next(
        offset
        for offset in range(STEP // 2, STEP)
        if not any(piece <= offset < piece + (32 << 10) for piece in compared)
    )
    changed_at(unseen)(part, kept)
    with pytest.raises(TransientError, match="reads back"):
        place.deliver(file, attempt="work.2", verify="read-back")
    assert place.names() == {"site/"}

    result = place.deliver(file, attempt="work.3", verify="read-back")["site/file"]
    assert result.verified == "read-back"
    assert place.read("site/file") == data


def test_other_work_does_not_take_a_part(place: SftpPlace, proxy: TcpProxy, small: None) -> None:
    kept, data = Kept(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    part = begun(place, proxy, file)
    before = part.read_bytes()
    assert sent(place, proxy, file, attempt="other.1") > SMALL
    assert part.read_bytes() == before
    assert place.names() == {"site/file", str(part.relative_to(place.folder))}


# -- what stays, and what goes


class SlowStream(io.BytesIO):
    """Gives its end, or an error instead, only when all before it is noted."""

    def __init__(self, data: bytes, kept: Kept, error: OSError | None = None) -> None:
        super().__init__(data)
        self._kept = kept
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 2 * STEP:
            wait_for(lambda: len(self._kept.saved) == 2)
            if self._error:
                raise self._error
        return super().read(size)


def test_a_part_stays_when_the_source_fails_for_now(place: SftpPlace, proxy: TcpProxy, small: None) -> None:
    # XX-03
    kept, data = Kept(), content(SMALL)
    whole = outgoing("site/file", data, unfinished=kept)
    broken = dataclasses.replace(whole, open=lambda: SlowStream(data, kept, OSError("network")))
    with pytest.raises(RuntimeError), place.connector("work.1") as connector:
        assert isinstance(failure(next(iter(connector.deliver([broken])))), TransientError)
        raise RuntimeError("the step ends so")
    assert sent(place, proxy, whole) < SMALL - 2 * STEP + OVERHEAD // 4
    assert place.names() == {"site/file"}


def test_nothing_stays_of_a_file_whose_source_changed(place: SftpPlace, small: None) -> None:
    kept, data = Kept(), content(SMALL)
    whole = outgoing("site/file", data, unfinished=kept)
    changed = dataclasses.replace(whole, open=lambda: SlowStream(content(SMALL, 1), kept))
    with pytest.raises(RuntimeError), place.connector("work.1") as connector:
        assert isinstance(failure(next(iter(connector.deliver([changed])))), TerminalError)
        assert not list(place.folder.rglob(f"{UNFINISHED}*"))
        raise RuntimeError("the step ends so")
    assert kept.saved
    assert place.names() == {"site/"}


def test_nothing_stays_on_a_full_disk(place: SftpPlace, small: None) -> None:
    kept = Kept()
    with small_disk(place.folder, 2):
        with pytest.raises(TerminalError, match="is full"):
            place.deliver(outgoing("file", content(SMALL), unfinished=kept))
        assert kept.saved
        assert place.names() == set()


def test_a_try_that_may_not_note_its_progress_stops_and_leaves_the_part(
    place: SftpPlace, proxy: TcpProxy, small: None
) -> None:
    # XX-03
    class Fenced(Kept):
        def save(self, state: str) -> None:
            if self.saved:
                raise SupersededError("a newer try has begun")
            super().save(state)

    kept, data = Fenced(), content(SMALL)
    file = outgoing("site/file", data, unfinished=kept)
    with pytest.raises(SupersededError, match="a newer try has begun"):
        place.deliver(file)
    whole = dataclasses.replace(file, unfinished=Kept(kept.state))
    assert sent(place, proxy, whole) < SMALL - STEP + OVERHEAD // 4
    assert place.names() == {"site/file"}


def test_a_server_that_can_not_rename_gets_the_whole_file_each_time(small: None) -> None:
    with ssh_server(sftp_arguments="-P rename,posix-rename") as server:
        place, kept = SftpPlace(server), Kept()
        place.deliver(outgoing("file", content(SMALL), unfinished=kept))
        assert kept.state is None
        assert place.names() == {"file"}


# -- whole steps


def test_the_next_try_of_the_step_goes_on_and_the_ledger_forgets_it(
    place: SftpPlace, proxy: TcpProxy, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-03
    monkeypatch.setattr(unfinished, "TRACKED_FROM", SMALL)
    records = {SITE_A: b'{"id":1}\n' * (SMALL // 9 + 1)}
    options = place.options.model_dump(mode="json", exclude_defaults=True)
    world = World(tmp_path, config([options], site_id=[SITE_A]), {"sftp": place.credentials})
    location = place.options.location()
    world.ledger.record_validation("acme", location, "earlier")
    run = world.plan(window=DAY)
    world.package(run, records)
    save = unfinished.TrackedUpload.save

    def save_and_cut(upload: unfinished.TrackedUpload, state: str) -> None:
        save(upload, state)
        if read_state(state, "sftp", 1)["offset"] == 2 * STEP:
            proxy.cut()

    proxy.hold_after(SMALL - STEP // 2)
    with monkeypatch.context() as patched:
        patched.setattr(unfinished.TrackedUpload, "save", save_and_cut)
        with pytest.raises(TransientError, match="connection was lost"):
            world.upload(run, "sftp")
    later = now() + 2 * KEPT
    (row,) = world.ledger.unfinished.abandoned("acme", location, later)
    assert read_state(row.state, "sftp", 1)["offset"] == 2 * STEP

    before = proxy.client_bytes
    assert world.upload(run, "sftp", attempt="2-second")["outcome"] == "delivered"
    assert proxy.client_bytes - before < SMALL - 2 * STEP + OVERHEAD // 2
    assert world.ledger.unfinished.abandoned("acme", location, later) == []
    (data,) = [name for name in place.names() if name.endswith(".json")]
    assert place.read(data) == records[SITE_A]
    assert not [name for name in place.names() if name.startswith(TEMPORARY_FOLDER)]
