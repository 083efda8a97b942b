"""One file to an SFTP server: write aside, compare, give it its name."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal

from outfeed.connectors.base import BLOCK_SIZE, Delivered, Outgoing
from outfeed.connectors.sftp_base import SftpBase, is_folder
from outfeed.connectors.sftp_resume import Part, Progress, find_part, new_name, worth_keeping
from outfeed.connectors.ssh_session import SshSession
from outfeed.connectors.transfer import FileFault, SourceReader, conflict
from outfeed.errors import Action, TransientError

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger(__name__)

#: Bytes after which a growing file is synced: one sync of all of it could take longer than we wait.
SYNC_EVERY = 256 << 20

#: Write requests in flight per connection, shared by its files: enough to fill a 2 MB channel window.
WRITES_PER_CONNECTION = 32


class SftpDelivery:
    """Guarantees that a file has its final name only when the server holds all of it (XX-04).

    A file is written under a temporary name, synced where the server offers it, compared by size, and then
    renamed onto a name that must be free. Requests that need no earlier answer are sent together, so that a
    small file takes three round trips. A file with `unfinished` goes on where an older try of the same work
    stopped, unless the server can't rename (XX-03).

    Args:
        base: the destination's base directory.
        read_back: whether each file is read again and its sha256 compared before it gets its name.
        files_per_connection: how many files share one connection.
        stop: set when the delivery as a whole has failed.
    """

    def __init__(
        self, base: SftpBase, *, read_back: bool, files_per_connection: int, stop: threading.Event
    ) -> None:
        self._base = base
        self._verified: Literal["size", "read-back"] = "read-back" if read_back else "size"
        self._window = max(2, WRITES_PER_CONNECTION // files_per_connection)
        self._stop = stop
        self._can_sync = True
        self._look_first = False

    async def deliver(self, session: SshSession, file: Outgoing) -> Delivered:
        """Delivers one file.

        Raises:
            FileFault: this file can't be delivered.
            OutfeedError: nothing can be delivered any more.
        """
        import asyncssh

        try:
            part = await find_part(session, self._base, file)
            delivered = part and await self._go_on(session, file, part)
            return delivered or await self._from_start(session, file)
        except (asyncssh.Error, OSError) as error:
            raise session.fault(error, f"deliver {file.path}") from error

    async def _go_on(self, session: SshSession, file: Outgoing, part: Part) -> Delivered | None:
        """Delivers a file from where the part ends; removes a part that is not the file's beginning."""
        reader = await asyncio.to_thread(SourceReader, file, self._stop)
        try:
            if await part.begins(reader):
                log.info("%s goes on at byte %d of %d", file.path, part.offset, file.size)
                first = await asyncio.to_thread(reader.block, BLOCK_SIZE)
                return await self._deliver_aside(session, file, reader, first, part)
        finally:
            reader.close()
        log.info("%s begins anew: what is at the server is not its beginning", file.path)
        await self._base.discard(session, part.handle, self._base.temporary(part.name))
        return None

    async def _from_start(self, session: SshSession, file: Outgoing) -> Delivered:
        reader, first = await asyncio.to_thread(self._open_source, file)
        try:
            if self._base.rename == "none":
                return await self._deliver_in_place(session, file, reader, first)
            return await self._deliver_aside(session, file, reader, first)
        finally:
            reader.close()

    def _open_source(self, file: Outgoing) -> tuple[SourceReader, bytes]:
        reader = SourceReader(file, self._stop)
        try:
            return reader, reader.block(BLOCK_SIZE)
        except BaseException:
            reader.close()
            raise

    async def _deliver_aside(
        self,
        session: SshSession,
        file: Outgoing,
        reader: SourceReader,
        first: bytes,
        part: Part | None = None,
    ) -> Delivered:
        aside, progress = self._aside(file, part)
        created = _started(self._writable(session, aside, part))
        looked = _started(self._look(session, file.path, reader))
        folder = _started(self._base.folder(session, file.path.rpartition("/")[0]))
        await asyncio.gather(created, looked, folder, return_exceptions=True)
        handle = await created
        try:
            await folder
            existing = await looked
            if existing is not None:
                return await self._identical(session, file, reader, existing)
            await self._write(session, aside, handle, reader, first, progress)
            await self._verify(session, aside, reader)
            await self._publish(session, aside, file.path)
        except _NameTakenError as taken:
            return await self._identical(session, file, reader, taken.existing)
        except BaseException as error:
            if progress is not None and progress.noted and _may_go_on(session, error):
                await self._base.discard(session, handle)
                aside = ""
            raise
        else:
            aside = ""
            return Delivered(file.path, reader.bytes, reader.sha256, "created", self._verified)
        finally:
            if aside:
                await self._base.discard(session, handle, aside)

    def _aside(self, file: Outgoing, part: Part | None) -> tuple[str, Progress | None]:
        """Where the file is written, and what is noted of it."""
        if file.unfinished is None:
            return self._base.next_temporary(), None
        name = part.name if part is not None else new_name()
        progress = Progress(file.unfinished, name, 0 if part is None else part.offset)
        return self._base.temporary(name), progress

    async def _writable(
        self, session: SshSession, path: str, part: Part | None
    ) -> asyncssh.SFTPClientFile[bytes]:
        return await self._base.create(session, path) if part is None else part.handle

    async def _look(self, session: SshSession, path: str, reader: SourceReader) -> asyncssh.SFTPAttrs | None:
        """What is under the final name, where asking is worth a request.

        A small file that turns out to be there already was sent for nothing, which is rare: after the first
        such, as when a killed try is resumed, all are asked for.
        """
        if reader.finished and not self._look_first:
            return None
        return await self._base.attributes(session, self._base.path(path))

    async def _deliver_in_place(
        self, session: SshSession, file: Outgoing, reader: SourceReader, first: bytes
    ) -> Delivered:
        """For servers that can't rename: creates the final name exclusively; only the marker tells then."""
        final = self._base.path(file.path)
        await self._base.folder(session, file.path.rpartition("/")[0])
        existing = await self._base.attributes(session, final)
        if existing is not None:
            return await self._identical(session, file, reader, existing)
        handle = await self._base.create(session, final)
        try:
            await self._write(session, final, handle, reader, first)
            await self._verify(session, final, reader)
        except BaseException:
            await self._base.discard(session, handle, final)
            raise
        return Delivered(file.path, reader.bytes, reader.sha256, "created", self._verified)

    async def _write(
        self,
        session: SshSession,
        path: str,
        handle: asyncssh.SFTPClientFile[bytes],
        reader: SourceReader,
        first: bytes,
        progress: Progress | None = None,
    ) -> None:
        """Sends the content, syncs and closes; afterwards the size at the server equals ours."""
        import asyncssh

        requests: deque[asyncio.Task[Any]] = deque()
        try:
            written = await self._send(session, handle, reader, first, requests, progress)
            requests.append(_started(self._sync(session, handle)))
            requests.append(_started(session.call(handle.close)))
            requests.append(_started(session.call(session.client.stat, path)))
            size = (await asyncio.gather(*requests))[-1].size
        except asyncssh.SFTPNoSuchFile as error:
            if self._base.rename == "none":
                raise
            raise await self._base.fenced(session) from error
        except asyncssh.SFTPFailure as error:
            full = await session.full_disk(self._base.path())
            raise full or session.fault(error, f"write {path}") from error
        finally:
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
        if size != written:
            # A server may answer stat before close has taken effect.
            size = (await session.ask(session.client.stat(path))).size
        if size != written:
            raise _AlteredError(
                f"{path} has {size} bytes at the server, not the {written} that were sent",
                where=session.location,
                action=Action.CUSTOMER,
                remedy="retried; if it persists, check the disk and the quota at the destination",
            )

    async def _send(
        self,
        session: SshSession,
        handle: asyncssh.SFTPClientFile[bytes],
        reader: SourceReader,
        block: bytes,
        requests: deque[asyncio.Task[Any]],
        progress: Progress | None,
    ) -> int:
        """Sends the content with a bounded number of requests in flight; returns its bytes."""
        written = reader.bytes - len(block)
        while block:
            for start in range(0, len(block), session.write_size):
                if len(requests) >= self._window:
                    await requests.popleft()
                piece = block[start : start + session.write_size]
                requests.append(_started(session.call(handle.write, piece, written)))
                if written // SYNC_EVERY != (written + len(piece)) // SYNC_EVERY:
                    requests.append(_started(self._sync(session, handle)))
                written += len(piece)
            if progress is not None and progress.due(written):
                requests.append(_started(self._sync(session, handle)))
                requests.append(_started(progress.note(written, [*requests])))
            block = b"" if reader.finished else await asyncio.to_thread(reader.block, BLOCK_SIZE)
        return written

    async def _sync(self, session: SshSession, handle: asyncssh.SFTPClientFile[bytes]) -> None:
        import asyncssh

        if self._can_sync:
            try:
                await session.ask(handle.fsync())
            except asyncssh.SFTPOpUnsupported:
                self._can_sync = False

    async def _verify(self, session: SshSession, path: str, reader: SourceReader) -> None:
        if self._verified == "read-back":
            digest = await self._remote_sha256(session, path)
            if digest != reader.sha256:
                raise _AlteredError(
                    f"{path} reads back with sha256 {digest}, not {reader.sha256}",
                    where=session.location,
                    action=Action.CUSTOMER,
                    remedy="retried; if it persists, the server's storage alters files",
                )

    async def _publish(self, session: SshSession, aside: str, path: str) -> None:
        """Gives the file its final name, unless something is there."""
        import asyncssh

        final = self._base.path(path)
        if self._base.rename == "overwrites":
            await self._require_free(session, final)
        try:
            await session.ask(session.client.rename(aside, final))
        except asyncssh.SFTPPermissionDenied as error:
            raise session.fault(error, f"rename a file to {final}") from error
        except asyncssh.SFTPError as error:
            await self._require_free(session, final)
            if await self._base.attributes(session, aside) is None:
                raise await self._base.fenced(session) from error
            fault = session.fault(error, f"give a file the name {path}")
            fault.remedy = "if the server takes no ':' in names, choose filename_style: portable"
            raise FileFault(fault) from error

    async def _require_free(self, session: SshSession, final: str) -> None:
        existing = await self._base.attributes(session, final)
        if existing is not None:
            self._look_first = True
            raise _NameTakenError(existing)

    async def _identical(
        self, session: SshSession, file: Outgoing, reader: SourceReader, existing: asyncssh.SFTPAttrs
    ) -> Delivered:
        """The result for a name that exists with exactly our content; raises a conflict otherwise."""
        if file.size is None or existing.size == file.size:
            await asyncio.to_thread(reader.drain, BLOCK_SIZE)
        found = f"{existing.size} bytes"
        if reader.finished and existing.size == reader.bytes and not is_folder(existing):
            digest = await self._remote_sha256(session, self._base.path(file.path))
            if digest == reader.sha256:
                return Delivered(file.path, reader.bytes, digest, "identical", "read-back")
            found = f"sha256 {digest}"
        ours = f"{reader.bytes} bytes, sha256 {reader.sha256}" if reader.finished else f"{file.size} bytes"
        raise conflict(file.path, session.location, found, ours)

    async def _remote_sha256(self, session: SshSession, path: str) -> str:
        digest = hashlib.sha256()
        handle = await session.ask(session.client.open(path, "rb", encoding=None))
        try:
            offset = 0
            while block := await session.ask(handle.read(BLOCK_SIZE, offset)):
                digest.update(block)
                offset += len(block)
        finally:
            await session.ask(handle.close())
        return digest.hexdigest()


class _AlteredError(TransientError):
    """The server holds something else than was sent: what it holds must not be continued."""


class _NameTakenError(Exception):
    """Something is under the final name."""

    def __init__(self, existing: asyncssh.SFTPAttrs) -> None:
        self.existing = existing
        super().__init__()


def _started(request: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task: requests go out in the order in which their tasks were made."""
    return asyncio.get_running_loop().create_task(request)


def _may_go_on(session: SshSession, error: BaseException) -> bool:
    """Whether a later try may go on with what was sent before the error."""
    import asyncssh

    cause = error.error if isinstance(error, FileFault) else error
    if isinstance(cause, asyncssh.Error | OSError):
        cause = session.fault(cause, "deliver a file")
    return worth_keeping(cause) and not isinstance(cause, _AlteredError)
