"""The base directory of an FTP destination: folders, this try's temporary names, what the server can do."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from typing import Literal

from outfeed.connectors.base import Capabilities
from outfeed.connectors.ftp_session import UNKNOWN_COMMAND, FtpLost, FtpRefusal, FtpSession, ftp_fault
from outfeed.connectors.remote_base import RemoteBase
from outfeed.connectors.transfer import TEMPORARY_FOLDER, FileFault, in_the_way, is_leftover
from outfeed.errors import Action, OutfeedError, TerminalError

#: What each of a try's folders begins with; its age, by the server's clock, is that of the try.
_PROBE = b"Outfeed was here and will remove this file.\n"


@dataclasses.dataclass(frozen=True)
class Found:
    """What is under a name: bytes, or None where the server does not tell."""

    bytes: int | None
    folder: bool = False

    def __str__(self) -> str:
        if self.folder:
            return "a folder"
        return "some content" if self.bytes is None else f"{self.bytes} bytes"


class FtpBase(RemoteBase):
    """Guarantees that nothing outside the base directory is touched (VI-D15), for one try.

    Args:
        base: base directory as configured; a relative one begins where the login leads to.
        attempt: token of the try.
        location: URI for messages.

    Attributes:
        can_rename: whether the server renames files.
        hashes: whether the server computes SHA-256.
    """

    def __init__(self, base: str, attempt: str, location: str) -> None:
        super().__init__(base, attempt)
        self.location = location
        self.can_rename = True
        self.hashes = False
        self._folders: set[str] = set()
        self._look_by: Literal["SIZE", "MLST", "NLST"] = "SIZE"
        self._publishing: set[str] = set()
        self._published = threading.Condition()

    @property
    def capabilities(self) -> Capabilities:
        """What this server turned out to be able to; no FTP server is relied on not to overwrite."""
        return Capabilities(
            atomic="rename" if self.can_rename else "none",
            conditional_create=False,
            checksum="sha256" if self.hashes else None,
        )

    @property
    def probe(self) -> str:
        """The path of the small file by which this try is known to live."""
        return self.temporary("alive" if self.can_rename else "probe")

    @contextlib.contextmanager
    def alone(self, path: str) -> Iterator[None]:
        """Lets one thread at a time look at a final name and then give it to a file."""
        with self._published:
            while path in self._publishing:
                self._published.wait()
            self._publishing.add(path)
        try:
            yield
        finally:
            with self._published:
                self._publishing.discard(path)
                self._published.notify_all()

    # -- before and after the files

    def prepare(self, session: FtpSession) -> None:
        """Makes base and temporary folder, removes what dead tries left, and tries out the server."""
        try:
            self.make(session)
            self.make_temporary(session)
            self.write_probe(session)
            self.probe_looking(session)
            self._remove_leftovers(session)
            self.probe_rename(session)
        except (FtpRefusal, FtpLost) as error:
            raise ftp_fault(error, f"use {self.temporary()}", self.location) from error

    def make(self, session: FtpSession) -> None:
        """Makes the base directory and its parents if they are missing (VI-D15)."""
        if not self._base.startswith("/"):
            relative = "" if self._base == "." else self._base
            self._base = "/".join([session.home().rstrip("/"), *([relative] if relative else [])])
        self._make_folders(session, self.path())

    def make_temporary(self, session: FtpSession) -> None:
        """Makes this try's temporary folder."""
        for _ in range(5):
            with contextlib.suppress(FtpRefusal):
                session.ask(f"MKD {self.path(TEMPORARY_FOLDER)}")
            try:
                session.ask(f"MKD {self.temporary()}")
            except FtpRefusal as refusal:
                # Another try may have removed the folder of all tries in between.
                if refusal.code == 421 or session.is_folder(self.path(TEMPORARY_FOLDER)):
                    raise self._not_made(session, refusal, self.temporary()) from refusal
                denied = refusal
            else:
                return
        raise self._not_made(session, denied, self.path(TEMPORARY_FOLDER))

    def write_probe(self, session: FtpSession) -> None:
        """Writes a small file, by which other tries know the age of this one."""
        try:
            session.store(self.temporary("probe"), _PROBE)
        except FtpRefusal as refusal:
            if refusal.code >= 500 and not session.is_folder(self.temporary()):
                raise self._swept(session) from refusal
            raise ftp_fault(
                refusal, f"write a file in {self.temporary()}", self.location, right="upload (STOR)"
            ) from refusal

    def probe_looking(self, session: FtpSession) -> str:
        """Finds out how this server tells what it holds; returns the command.

        A server that says 'no such file' of one that is there would make us overwrite.
        """
        probe = self.temporary("probe")
        for self._look_by in ("SIZE", "MLST"):
            try:
                found = self.look(session, probe)
            except FtpRefusal as refusal:
                if refusal.code not in UNKNOWN_COMMAND:
                    raise
                found = None
            if found is not None and found.bytes == len(_PROBE):
                break
        else:
            self._look_by = "NLST"
            if self.look(session, probe) is None:
                if not session.is_folder(self.temporary()):
                    raise self._swept(session)
                raise TerminalError(
                    "the server shows no file that it holds: SIZE, MLST and NLST are all refused or empty",
                    where=self.location,
                    action=Action.CUSTOMER,
                    remedy="let our user list its files, so that none is overwritten",
                )
        self.hashes = self._hashed(session, probe) == hashlib.sha256(_PROBE).hexdigest()
        return self._look_by

    @staticmethod
    def _hashed(session: FtpSession, path: str) -> str | None:
        try:
            return session.reported_sha256(path, 0)
        except FtpRefusal:
            return None

    def probe_rename(self, session: FtpSession) -> bool:
        """Whether the server can rename, tried with the small file."""
        probe, renamed = self.temporary("probe"), self.temporary("alive")
        try:
            session.rename(probe, renamed)
        except FtpRefusal as refusal:
            if refusal.code < 500:
                raise
            if self.look(session, probe) is None:
                # Taken for a server that can't rename, files would grow under their final names.
                raise self._swept(session) from refusal
            self.can_rename = False
        return self.can_rename

    def read_probe(self, session: FtpSession) -> bool:
        """Whether the small file reads back as it was written."""
        return session.sha256(self.probe)[0] == hashlib.sha256(_PROBE).hexdigest()

    def _remove_leftovers(self, session: FtpSession) -> None:
        """Removes dead tries' folders, their age by the server's own clock."""
        now = session.modified(self.temporary("probe"))
        for name in session.names(self.path(TEMPORARY_FOLDER)):
            if name == self._own:
                continue
            folder = self.path(f"{TEMPORARY_FOLDER}/{name}")
            files = session.names(folder)
            if self._is_dead(name, self._age(session, folder, files, now)):
                self._remove_folder(session, folder, files)

    def _age(self, session: FtpSession, folder: str, files: list[str], now: float | None) -> float:
        """Seconds since the newest file of another try; 0 where the server does not tell."""
        if now is None or is_leftover(folder.rpartition("/")[2], self._attempt, 0):
            return 0
        times = [session.modified(f"{folder}/{file}") for file in files]
        known = [time for time in times if time is not None]
        return now - max(known) if known else 0

    def clean_up(self, session: FtpSession) -> bool:
        """Removes this try's temporary names, and the folder of all tries if it is empty.

        Returns:
            Whether nothing of this try is left.
        """
        try:
            self._remove_folder(session, self.temporary(), session.names(self.temporary()))
            with contextlib.suppress(FtpRefusal):
                session.ask(f"RMD {self.path(TEMPORARY_FOLDER)}")
            return not session.is_folder(self.temporary())
        except (FtpRefusal, FtpLost):
            # The connection is gone; the next try removes what is left.
            return False

    def _remove_folder(self, session: FtpSession, folder: str, files: list[str]) -> None:
        for file in files:
            self.remove(session, f"{folder}/{file}")
        # Removed by somebody else, or its try is still writing into it.
        with contextlib.suppress(FtpRefusal):
            session.ask(f"RMD {folder}")

    @staticmethod
    def remove(session: FtpSession, path: str) -> None:
        """Removes a file; what can't be removed now is met again by the next try."""
        if session.usable:
            with contextlib.suppress(FtpRefusal, FtpLost):
                session.ask(f"DELE {path}")

    # -- folders and names

    def look(self, session: FtpSession, path: str) -> Found | None:
        """What is under a path, or None."""
        if self._look_by == "SIZE":
            size = session.size(path)
            return None if size is None else Found(size)
        if self._look_by == "MLST":
            facts = session.facts(path)
            if facts is None:
                return None
            length = facts.get("size", "")
            return Found(int(length) if length.isdigit() else None, facts.get("type", "").lower() == "dir")
        folder, _, name = path.rpartition("/")
        return Found(None) if name in session.names(folder or "/") else None

    def folder(self, session: FtpSession, relative: str) -> None:
        """Makes a folder below the base and its parents, once per delivery (VI-D09)."""
        if relative and relative not in self._folders:
            self._make_folders(session, self.path(relative))
            self._folders.add(relative)

    def _make_folders(self, session: FtpSession, path: str) -> None:
        if session.is_folder(path):
            return
        parent = path.rpartition("/")[0]
        if parent:
            self._make_folders(session, parent)
        try:
            session.ask(f"MKD {path}")
        except FtpRefusal as refusal:
            if refusal.code != 421 and session.is_folder(path):
                return
            fault = self._not_made(session, refusal, path)
            if path.startswith(f"{self._base}/") and self.look(session, path) is not None:
                # A file has the folder's name: only what belongs below it can't be delivered.
                raise FileFault(fault) from refusal
            raise fault from refusal

    def _not_made(self, session: FtpSession, refusal: FtpRefusal, path: str) -> OutfeedError:
        if refusal.code >= 500 and self._is_file(session, path):
            return in_the_way(path, self.location)
        return ftp_fault(refusal, f"make the folder {path}", self.location, right="create directories (MKD)")

    @staticmethod
    def _is_file(session: FtpSession, path: str) -> bool:
        """Whether the server says so; one that tells the size of a folder is asked for its kind."""
        with contextlib.suppress(FtpRefusal):
            if "MLST" in session.features:
                facts = session.facts(path)
                return facts is not None and facts.get("type", "").lower() == "file"
            return session.size(path) is not None
        return False

    def fenced(self, session: FtpSession) -> OutfeedError | None:
        """The error if our temporary folder is gone: a newer try removed it, or the customer did."""
        if session.is_folder(self.temporary()) and "alive" in session.names(self.temporary()):
            return None
        return self._swept(session)

    def is_newest(self, session: FtpSession) -> bool:
        """Whether our small file is there: a newer try removes it before it does anything else."""
        return self.look(session, self.probe) is not None

    def require_newest(self, session: FtpSession) -> None:
        """Raises as `fenced` says unless `is_newest`."""
        if not self.is_newest(session):
            raise self._swept(session)

    def _swept(self, session: FtpSession) -> OutfeedError:
        return self._removed(session.names(self.path(TEMPORARY_FOLDER)), self.location)
