"""A large file that an earlier try began over SFTP: what is noted of it, and whether it may be continued.

Its temporary name is its own for good: each newer try of the same work moves it, under that name, into the
newer try's folder before it removes the older one. So a note stays true, whoever has the file.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from outfeed.connectors.base import BLOCK_SIZE, Outgoing, UnfinishedUpload
from outfeed.connectors.sftp_base import UNFINISHED, SftpBase
from outfeed.connectors.ssh_session import SshSession
from outfeed.connectors.transfer import SourceReader
from outfeed.connectors.upload_state import read_state, write_state
from outfeed.errors import SupersededError, TerminalError

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger(__name__)

#: Bytes, and seconds, after which the progress of a file is noted, whichever comes first.
NOTE_EVERY = 64 << 20
NOTE_AFTER = 10.0

#: Seconds for which a file must not change before it is continued.
QUIET = 2.0

#: What is compared with the source: the beginning, the end, and so many pieces in between. Every server reads
#: a piece in one request.
_PIECE = 32 << 10
_BEGINNING = 256 << 10
_END = 1 << 20
_SAMPLES = 32

_KIND = "sftp"
_VERSION = 1


def worth_keeping(error: BaseException) -> bool:
    """Whether a later try may well end what this one could not, as after a cut; not so on a full disk."""
    return not isinstance(error, TerminalError) or isinstance(error, SupersededError)


def new_name() -> str:
    """A temporary name that no file at this server ever had."""
    return f"{UNFINISHED}{secrets.token_hex(8)}"


class Progress:
    """Guarantees that whatever is noted is at the server: acknowledged, and synced where the server can.

    Args:
        unfinished: keeps the note.
        name: the file's temporary name.
        offset: up to where it was noted before.
    """

    def __init__(self, unfinished: UnfinishedUpload, name: str, offset: int) -> None:
        self.noted = offset
        self._unfinished = unfinished
        self._name = name
        self._last = offset
        self._since = time.monotonic()

    def due(self, offset: int) -> bool:
        """Whether it is time to note that the file has been sent up to `offset`; says so once."""
        now = time.monotonic()
        if offset - self._last < NOTE_EVERY and now - self._since < NOTE_AFTER:
            return False
        self._last, self._since = offset, now
        return True

    async def note(self, offset: int, requests: Iterable[asyncio.Task[Any]]) -> None:
        """Notes `offset` when the requests, among them all writes before it and a sync, have succeeded."""
        await asyncio.gather(*requests)
        state = write_state(_KIND, _VERSION, {"name": self._name, "offset": offset})
        await asyncio.to_thread(self._unfinished.save, state)
        self.noted = offset


@dataclasses.dataclass(frozen=True)
class Part:
    """The beginning of a file that is at the server, cut off where it was noted and open for writing.

    Attributes:
        name: its temporary name.
        samples: what the server holds, by offset.
    """

    name: str
    handle: asyncssh.SFTPClientFile[bytes]
    offset: int
    samples: dict[int, bytes]

    async def begins(self, reader: SourceReader) -> bool:
        """Whether the source begins with each sample; afterwards it is read up to the offset.

        Samples will do, because reading all of it back would cost what sending it costs: they find another
        content, a file that lost its end in a crash of the server, and one that somebody altered as a whole.
        Single bytes that changed in between they don't find, no more than comparing sizes does for what one
        try sends: that is what `verify: read-back` is for, which reads continued files as a whole, too.
        """
        if any(len(sample) < min(_PIECE, self.offset - at) for at, sample in self.samples.items()):
            return False
        while reader.bytes < self.offset:
            start = reader.bytes
            block = await asyncio.to_thread(reader.block, min(BLOCK_SIZE, self.offset - start))
            if any(not _agree(block, start, sample, at) for at, sample in self.samples.items()):
                return False
        return True


def _agree(block: bytes, start: int, sample: bytes, at: int) -> bool:
    """Whether two pieces of a file are equal where they overlap."""
    low, high = max(start, at), min(start + len(block), at + len(sample))
    return low >= high or block[low - start : high - start] == sample[low - at : high - at]


async def find_part(session: SshSession, base: SftpBase, file: Outgoing) -> Part | None:
    """What an older try of this work has sent of a file, if it can be continued; else it is removed.

    The older try's process may live on and still have the file open. It can't truncate it, and it can't
    give it a final name, because it knows it by a path that is gone. A file that is being written is left
    to it: once it is removed here, the older try writes into nothing. One that hangs now and wakes up later
    goes on until its next note, which is refused: with bytes of the same content, known by its sha256, at
    the same offsets.
    """
    import asyncssh

    state = None if file.unfinished is None else await asyncio.to_thread(file.unfinished.load)
    if state is None:
        return None
    name, offset = _noted(state, file)
    if not name:
        log.info("%s begins anew: what was noted of it can't be used", file.path)
        return None
    try:
        problem = await _problem(session, base.temporary(name), base, offset)
        part = None if problem else await _opened(session, base, name, offset)
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
        raise
    except asyncssh.SFTPError as error:
        problem, part = f"the server refuses to continue it ({error.reason})", None
    if part is None:
        log.info("%s begins anew: %s", file.path, problem)
        await base.remove(session, base.temporary(name))
    return part


def _noted(state: str, file: Outgoing) -> tuple[str, int]:
    """Temporary name and offset of a note; no name if the note can't be of this file."""
    values = read_state(state, _KIND, _VERSION)
    name, offset = values.get("name"), values.get("offset")
    if not isinstance(name, str) or not re.fullmatch(rf"{UNFINISHED}[0-9a-f]+", name):
        return "", 0
    if not isinstance(offset, int) or file.size is None or not 0 < offset <= file.size:
        return "", 0
    return name, offset


async def _problem(session: SshSession, path: str, base: SftpBase, offset: int) -> str:
    """Why what is under the path can't be continued; nothing if it can."""
    found = await base.attributes(session, path)
    if found is None:
        return "what was sent of it is gone"
    if (found.size or 0) < offset:
        return f"{found.size} bytes of it are there, not the {offset} that were sent"
    await asyncio.sleep(QUIET)
    later = await base.attributes(session, path)
    if later is None or (later.size, later.mtime) != (found.size, found.mtime):
        return "an older try is still writing it"
    return ""


async def _opened(session: SshSession, base: SftpBase, name: str, offset: int) -> Part:
    client, path = session.client, base.temporary(name)
    # By its path, not by an open file: once a newer try has moved it, a try that hung here can't cut it.
    await session.ask(client.truncate(path, offset))
    handle = await session.ask(client.open(path, "r+b", encoding=None, block_size=0))
    try:
        wanted = {at: min(_PIECE, offset - at) for at in _pieces(name, offset)}
        reads = (session.call(handle.read, size, at) for at, size in wanted.items())
        samples = dict(zip(wanted, await asyncio.gather(*reads), strict=True))
    except BaseException:
        await base.discard(session, handle)
        raise
    return Part(name, handle, offset, samples)


def _pieces(name: str, offset: int) -> Iterator[int]:
    """Where the samples begin."""
    yield from range(0, min(offset, _BEGINNING), _PIECE)
    yield from range(max(0, offset - _END), offset, _PIECE)
    chosen = random.Random(f"{name} {offset}")  # noqa: S311 - not for secrets
    yield from (chosen.randrange(offset) for _ in range(_SAMPLES))
