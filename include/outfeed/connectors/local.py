"""Delivery to a folder of this machine or a mounted share."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import Field, field_validator

from outfeed.connectors.base import (
    BLOCK_SIZE,
    Capabilities,
    Check,
    CheckState,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    ExceptionType,
    OurSide,
    Outgoing,
    RemoteFile,
    Undelivered,
    safe_relative_path,
)
from outfeed.connectors.transfer import (
    TEMPORARY_FOLDER,
    FileFault,
    SourceReader,
    Step,
    conflict,
    deliver_in_threads,
    in_the_way,
    is_leftover,
    run_steps,
    temporary_name,
)
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.home import home


class LocalOptions(DestinationOptions):
    """A folder; a relative path lies under OUTFEED_HOME/delivered."""

    type: Literal["local"]
    path: str = Field(min_length=1, description="Folder; a relative one lies under OUTFEED_HOME/delivered.")

    @field_validator("path")
    @classmethod
    def _normal_path(cls, value: str) -> str:
        if ".." in value.split("/") or re.search(r"[\x00-\x1f]", value):
            raise ValueError(f"{value!r} is no folder: '..' and control characters are refused")
        return str(Path(value))

    def folder(self) -> Path:
        """The absolute folder."""
        return home() / "delivered" / self.path

    def location(self) -> str:
        """`local:<path>` as configured: the same on every worker, wherever its OUTFEED_HOME is."""
        return f"local:{self.path}"

    def pool_name(self) -> str:
        """One pool for this machine's disks."""
        return "destination_local"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """What the folder needs; no worker's own OUTFEED_HOME is named."""
        relative = not Path(self.path).is_absolute()
        folder = f"delivered/{self.path} below our OUTFEED_HOME" if relative else self.path
        return {
            "What the folder needs": [
                f"{folder}, on a disk or share that every worker sees at the same path",
                "the right to create folders and files there, to rename and to delete them",
                "one file system with hard links, which most disks and NFS have",
            ]
        }


class LocalConnector(Connector):
    """Delivers to a folder: each file is written aside, synced, and appears whole by a hard link.

    See the base class for the promises. The folder itself is created when it is missing (XX-04).
    """

    type = "local"
    capabilities = Capabilities(atomic="rename", conditional_create=True, checksum=None)
    options_model = LocalOptions

    def __init__(self, options: LocalOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._parallel = options.parallel
        self._base = options.folder()
        self._temporary = self._base / TEMPORARY_FOLDER / temporary_name(attempt)
        self._numbers = count()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._temporary.mkdir(parents=True)
            self._remove_leftovers()
        except OSError as error:
            raise _fault(error, self._base, "make a folder in", self._temporary) from error
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        _remove_empty(self._temporary.parent)

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class; `verified` is `size`."""
        return deliver_in_threads(files, self._deliver, self._parallel, self._stop)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class."""
        try:
            size = (self._base / safe_relative_path(path)).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _fault(error, self._base / path, "look at") from error
        return RemoteFile(path, size)

    def preflight(self) -> Iterator[Check]:
        """Tries to write a file, to link it under a second name and to read it back; removes both."""
        folder = self._temporary.with_name(temporary_name(self.attempt))
        probe, linked = folder / "probe", folder / "probe 00:00:00"
        steps = [
            ("mkdir", f"made a folder in {self._base}", lambda: folder.mkdir(parents=True)),
            ("write", "wrote a file", lambda: _write_synced(probe, b"outfeed")),
            ("rename", "gave it its final name, with a colon", lambda: linked.hardlink_to(probe)),
            ("read back", "read it back", lambda: _expect(linked, b"outfeed")),
        ]
        try:
            yield from run_steps(
                Step(
                    name,
                    partial(self._try, name, message, run),
                    tuple(earlier for earlier, _, _ in steps[:number]),
                )
                for number, (name, message, run) in enumerate(steps)
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty(folder.parent)
        yield Check("clean up", CheckState.PASSED, "nothing was left behind")

    def _try(self, doing: str, message: str, run: Callable[[], object]) -> str:
        try:
            run()
        except OSError as error:
            raise _fault(error, self._base, doing, self._temporary) from error
        return message

    def _deliver(self, file: Outgoing) -> Delivered:
        final = self._base / file.path
        aside = self._temporary / str(next(self._numbers))
        reader = SourceReader(file, self._stop)
        try:
            self._write(reader, aside)
            return self._publish(reader, aside, final, file.path)
        except OSError as error:
            raise _fault(error, final, "write") from error
        finally:
            reader.close()
            aside.unlink(missing_ok=True)

    @staticmethod
    def _write(reader: SourceReader, aside: Path) -> None:
        with aside.open("xb") as stream:
            while not reader.finished:
                stream.write(reader.block(BLOCK_SIZE))
            stream.flush()
            os.fsync(stream.fileno())
        written = aside.stat().st_size
        if written != reader.bytes:
            raise TransientError(f"{written} of {reader.bytes} bytes arrived", where=str(aside))

    def _publish(self, reader: SourceReader, aside: Path, final: Path, path: str) -> Delivered:
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise FileFault(_fault(error, final.parent, "make the folder")) from error
        try:
            os.link(aside, final)
        except FileExistsError:
            self._compare(final, path, reader)
            return Delivered(path, reader.bytes, reader.sha256, "identical", "read-back")
        _sync_folder(final.parent)
        return Delivered(path, reader.bytes, reader.sha256, "created", "size")

    def _compare(self, final: Path, path: str, reader: SourceReader) -> None:
        found = f"{final.stat().st_size} bytes"
        if final.is_file() and final.stat().st_size == reader.bytes:
            with final.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest == reader.sha256:
                return
            found = f"sha256 {digest}"
        raise conflict(path, str(self._base), found, f"{reader.bytes} bytes, sha256 {reader.sha256}")

    def _remove_leftovers(self) -> None:
        now = time.time()
        for folder in self._temporary.parent.iterdir():
            own = folder.name == self._temporary.name
            if not own and is_leftover(folder.name, self.attempt, now - folder.stat().st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _expect(path: Path, content: bytes) -> None:
    if path.read_bytes() != content:
        raise OSError(errno.EIO, "read other bytes than were written")


def _sync_folder(folder: Path) -> None:
    """Without it, a power cut could take the new name back."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fault(error: OSError, path: Path, doing: str, folder: Path | None = None) -> OutfeedError:
    """What an error of the operating system means for a delivery; `folder` is what had to be made."""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TerminalError(
            "the disk or its quota is full", where=str(path), remedy="free space, then clear the task"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV):
        remedy = "let the worker's user create files there; it must be one file system, with hard links"
        return TerminalError(f"may not {doing} this path: {reason}", where=str(path), remedy=remedy)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        needed = folder or path
        taken = next((each for each in (needed, *needed.parents) if each.is_file()), None)
        if taken is not None:
            return in_the_way(str(taken), str(path), Action.OPERATOR)
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL):
        return TerminalError(
            f"can't {doing} this path: {reason}",
            where=str(path),
            action=Action.OPERATOR,
            remedy="remove what is in the way, or choose filename_style: portable if the name is refused",
        )
    return TransientError(f"can't {doing} this path: {reason}", where=str(path), remedy="retried")
