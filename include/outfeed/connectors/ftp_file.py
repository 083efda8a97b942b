"""One file to an FTP server: write aside, compare, give it its name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from outfeed.connectors.base import BLOCK_SIZE, Delivered, Outgoing
from outfeed.connectors.ftp_base import Found, FtpBase
from outfeed.connectors.ftp_pool import FtpPool
from outfeed.connectors.ftp_session import FtpLost, FtpRefusal, FtpSession, ftp_fault
from outfeed.connectors.transfer import FileFault, SourceReader, conflict
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError


class FtpDelivery:
    """Guarantees that a file has its final name only when the server holds all of it (XX-04).

    A file is written under a temporary name, compared by size and by SHA-256 where the server computes it,
    and then renamed onto a name that was just found free.

    Args:
        base: the destination's base directory.
        pool: its connections.
        read_back: whether each file is read again and its sha256 compared before it gets its name.
        stop: set when the delivery as a whole has failed.
    """

    def __init__(self, base: FtpBase, pool: FtpPool, *, read_back: bool, stop: threading.Event) -> None:
        self._base = base
        self._pool = pool
        self._read_back = read_back
        self._stop = stop
        self._look_first = False

    def deliver(self, file: Outgoing) -> Delivered:
        """Delivers one file.

        Raises:
            FileFault: this file can't be delivered.
            OutfeedError: nothing can be delivered any more.
        """
        reader = SourceReader(file, self._stop)
        try:
            first = reader.block(BLOCK_SIZE)
            try:
                with self._pool.lease() as session, self._translated(f"deliver {file.path}"):
                    return self._try(session, file, reader, first)
            except _UnansweredError as unanswered:
                with self._pool.lease() as session, self._translated(f"look for {file.path}"):
                    return self._settle(session, file, reader, unanswered)
        finally:
            reader.close()

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (FtpRefusal, FtpLost) as error:
            raise ftp_fault(error, doing, self._base.location) from error

    def _try(self, session: FtpSession, file: Outgoing, reader: SourceReader, first: bytes) -> Delivered:
        if self._look_first or not reader.finished:
            existing = self._base.look(session, self._base.path(file.path))
            if existing is not None:
                return self._identical(session, file, reader, existing)
        self._base.folder(session, file.path.rpartition("/")[0])
        try:
            if self._base.can_rename:
                return self._deliver_aside(session, file, reader, first)
            return self._deliver_in_place(session, file, reader, first)
        except _NameTakenError as taken:
            self._look_first = True
            return self._identical(session, file, reader, taken.existing)

    def _deliver_aside(
        self, session: FtpSession, file: Outgoing, reader: SourceReader, first: bytes
    ) -> Delivered:
        aside = self._base.next_temporary()
        try:
            self._store(session, aside, reader, first)
            verified = self._verify(session, aside, reader)
            with self._base.alone(file.path):
                self._publish(session, aside, file.path)
        except _UnansweredError:
            raise
        except BaseException:
            self._base.remove(session, aside)
            raise
        return Delivered(file.path, reader.bytes, reader.sha256, "created", verified)

    def _deliver_in_place(
        self, session: FtpSession, file: Outgoing, reader: SourceReader, first: bytes
    ) -> Delivered:
        """For servers that can't rename: writes under the final name; only the marker tells then.

        A newer try may have delivered the file in the meantime. STOR would empty it and DELE remove it, so
        the last question before either is whether there is one.
        """
        final = self._base.path(file.path)
        with self._base.alone(file.path):
            self._require_free(session, final)
            self._base.require_newest(session)
            try:
                self._store(session, final, reader, first)
                verified = self._verify(session, final, reader)
            except FtpLost as lost:
                raise _UnansweredError(final, lost) from lost
            except BaseException:
                self._remove_in_place(session, final)
                raise
        return Delivered(file.path, reader.bytes, reader.sha256, "created", verified)

    def _remove_in_place(self, session: FtpSession, final: str) -> None:
        """Removes what this try wrote under a final name; of a try that is not the newest, it stays."""
        if session.usable:
            with contextlib.suppress(FtpRefusal, FtpLost):
                if self._base.is_newest(session):
                    self._base.remove(session, final)

    def _store(self, session: FtpSession, path: str, reader: SourceReader, first: bytes) -> None:
        try:
            session.store(path, first, reader)
        except FtpRefusal as refusal:
            if refusal.code >= 500 and self._base.can_rename:
                raise self._base.fenced(session) or self._refused(refusal, path) from refusal
            raise self._refused(refusal, path) from refusal

    def _refused(self, refusal: FtpRefusal, path: str) -> OutfeedError | FileFault:
        fault = ftp_fault(refusal, f"write {path}", self._base.location, right="upload (STOR)")
        # A final name that is refused says nothing of the others.
        named = refusal.code == 553 and not self._base.can_rename
        return FileFault(fault) if named else fault

    def _verify(self, session: FtpSession, path: str, reader: SourceReader) -> str:
        """Compares what the server holds with what was sent; returns by what."""
        found = self._base.look(session, path)
        if found is None or found.bytes not in (None, reader.bytes):
            fenced = self._base.fenced(session) if found is None and self._base.can_rename else None
            raise fenced or self._differs(path, f"has {found or 'vanished'}, not {reader.bytes} bytes")
        if self._base.hashes:
            digest = session.reported_sha256(path, reader.bytes)
            verified = "sha256"
        elif self._read_back or found.bytes is None:
            digest = self._remote_sha256(session, path, reader.bytes)
            verified = "read-back"
        else:
            return "size"
        if digest != reader.sha256:
            raise self._differs(path, f"has sha256 {digest} at the server, not {reader.sha256}")
        return verified

    def _differs(self, path: str, how: str) -> TransientError:
        return TransientError(
            f"{path} {how}, as it was sent",
            where=self._base.location,
            action=Action.CUSTOMER,
            remedy="retried; if it persists, check disk and quota: the server does not keep what it gets",
        )

    def _publish(self, session: FtpSession, aside: str, path: str) -> None:
        """Gives the file its final name, unless something is there."""
        final = self._base.path(path)
        self._require_free(session, final)
        try:
            session.rename(aside, final)
        except FtpLost as lost:
            raise _UnansweredError(aside, lost) from lost
        except FtpRefusal as refusal:
            if refusal.code == 421:
                raise _UnansweredError(aside, refusal) from refusal
            raise self._not_renamed(session, aside, path, refusal) from refusal

    def _not_renamed(self, session: FtpSession, aside: str, path: str, refusal: FtpRefusal) -> Exception:
        final = self._base.path(path)
        if session.is_folder(final):
            return _NameTakenError(Found(None, folder=True))
        self._require_free(session, final)
        fenced = self._base.fenced(session) if self._base.look(session, aside) is None else None
        if fenced is not None:
            return fenced
        fault = ftp_fault(refusal, f"give a file the name {path}", self._base.location)
        if refusal.code >= 500:
            fault.remedy = (
                "let our user rename (RNFR, RNTO) there; if the server takes no ':' in names, "
                "choose filename_style: portable"
            )
        return FileFault(fault)

    def _require_free(self, session: FtpSession, final: str) -> None:
        existing = self._base.look(session, final)
        if existing is not None:
            raise _NameTakenError(existing)

    def _settle(
        self, session: FtpSession, file: Outgoing, reader: SourceReader, unanswered: _UnansweredError
    ) -> Delivered:
        """Looks again after a last request whose answer did not come: it may have been done all the same.

        If not, what was written goes; in place, that is the final name, which was free before.
        """
        final = self._base.path(file.path)
        found = self._base.look(session, final)
        moved = unanswered.written == final or self._base.look(session, unanswered.written) is None
        if moved and found is not None and reader.finished and found.bytes in (None, reader.bytes):
            digest, verified = self._digest(session, final, reader.bytes)
            if digest == reader.sha256:
                return Delivered(file.path, reader.bytes, digest, "created", verified)
        if unanswered.written == final:
            self._base.require_newest(session)
        self._base.remove(session, unanswered.written)
        raise unanswered.error

    def _identical(
        self, session: FtpSession, file: Outgoing, reader: SourceReader, existing: Found
    ) -> Delivered:
        """The result for a name that exists with exactly our content; raises a conflict otherwise."""
        if file.size is None or existing.bytes in (None, file.size):
            reader.drain(BLOCK_SIZE)
        found = str(existing)
        if reader.finished and existing.bytes in (None, reader.bytes) and not existing.folder:
            digest, verified = self._digest(session, self._base.path(file.path), existing.bytes)
            if digest == reader.sha256:
                return Delivered(file.path, reader.bytes, digest, "identical", verified)
            found = f"sha256 {digest}"
        ours = f"{reader.bytes} bytes, sha256 {reader.sha256}" if reader.finished else f"{file.size} bytes"
        raise conflict(file.path, self._base.location, found, ours)

    def _digest(self, session: FtpSession, path: str, size: int | None) -> tuple[str, str]:
        """SHA-256 of a file at the server, and by what it is known; its size where the server tells it."""
        reported = None
        if self._base.hashes and size is not None:
            reported = session.reported_sha256(path, size)
        return (reported, "sha256") if reported else (self._remote_sha256(session, path, size), "read-back")

    def _remote_sha256(self, session: FtpSession, path: str, size: int | None) -> str:
        try:
            digest, count = session.sha256(path)
        except FtpRefusal as refusal:
            doing = f"read {path} to compare it with ours"
            fault = ftp_fault(refusal, doing, self._base.location, right="read files (RETR)")
            raise (FileFault(fault) if isinstance(fault, TerminalError) else fault) from refusal
        if size is not None and count != size:
            raise self._differs(path, f"reads back with {count} bytes, not {size}")
        return digest


class _NameTakenError(Exception):
    """Something is under the final name."""

    def __init__(self, existing: Found) -> None:
        self.existing = existing
        super().__init__()


class _UnansweredError(Exception):
    """The connection was lost when the file was on its last step; `written` is where it was before."""

    def __init__(self, written: str, error: FtpLost | FtpRefusal) -> None:
        self.written = written
        self.error = error
        super().__init__(str(error))
