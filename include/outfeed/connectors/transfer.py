"""What the connectors share: reading a source once and verified, several files in flight, temporary names."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue
from typing import BinaryIO

from outfeed.connectors.base import Check, CheckState, Delivered, Outgoing, Undelivered, safe_relative_path
from outfeed.errors import Action, DestinationConflict, OutfeedError, TerminalError, TransientError

#: Folder below the base that holds all temporary names; loaders skip names that begin with a dot.
TEMPORARY_FOLDER = ".outfeed-tmp"

#: Bytes that all files in flight of one delivery hold together.
MEMORY = 40 << 20

#: Bytes of one name that file systems take, and of a whole path that object stores take.
_MAX_NAME, _MAX_PATH = 255, 1024

#: What another work left under temporary names is removed when it has not changed for so many seconds.
STALE_AFTER = 24 * 3600


class FileFault(Exception):  # noqa: N818 - a carrier, not an error of its own
    """One file can't be delivered; the others go on."""

    def __init__(self, error: OutfeedError) -> None:
        self.error = error
        super().__init__(str(error))


def temporary_name(attempt: str) -> str:
    """A folder name for this try that no other try has, even one with the same token."""
    return f"{_component(attempt)}~{secrets.token_hex(4)}"


def is_leftover(name: str, attempt: str, seconds_unchanged: float) -> bool:
    """Whether a folder under `TEMPORARY_FOLDER` is the rest of a dead try and may be removed.

    An older try of the same work is: removing its files also stops it, if its process lives on. The folder
    of other work may belong to a delivery that runs right now, so it must be old as well.
    """
    work = _component(attempt).rpartition(".")[0]
    same_work = bool(work) and name.rpartition("~")[0].rpartition(".")[0] == work
    return same_work or seconds_unchanged > STALE_AFTER


def _component(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+-]", "_", text)


class SourceReader:
    """Reads a file once; hands out its last block only when size and sha256 are as declared.

    So a connector whose destination publishes on the last byte never publishes a wrong file.

    Args:
        outgoing: the file.
        stop: when set, reading ends with an error: the delivery as a whole has failed.

    Raises:
        FileFault: the source is gone or unreadable, or its content is not what was declared.
    """

    def __init__(self, outgoing: Outgoing, stop: threading.Event) -> None:
        self._outgoing = outgoing
        self._stop = stop
        self._sha256 = hashlib.sha256()
        self._carried = b""
        self.bytes = 0
        self.finished = False
        try:
            self._stream: BinaryIO = outgoing.open()
        except OutfeedError as error:
            raise FileFault(error) from error
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def sha256(self) -> str:
        """Hex digest of what has been read."""
        return self._sha256.hexdigest()

    def block(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end, when `finished` becomes true; then none."""
        if self.finished:
            return b""
        if self._stop.is_set():
            raise CancelledError
        try:
            block = self._fill(size)
            self.bytes += len(block)
            ended = self._at_end(short=len(block) < size)
        except OutfeedError as error:
            raise FileFault(error) from error
        except OSError as error:
            raise self._unreadable(error) from error
        self._sha256.update(block)
        self.finished = ended
        self._compare()
        return block

    def drain(self, size: int) -> None:
        """Reads to the end, for the digest alone."""
        while not self.finished:
            self.block(size)

    def close(self) -> None:
        """Closes the source."""
        self._stream.close()

    def _at_end(self, *, short: bool) -> bool:
        """Whether nothing follows; looks ahead only where the declared size does not tell."""
        if short:
            return True
        if self._outgoing.size is not None and self.bytes < self._outgoing.size:
            return False
        self._carried = self._stream.read(1)
        return not self._carried

    def _fill(self, size: int) -> bytes:
        parts, missing = [self._carried] if self._carried else [], size - len(self._carried)
        self._carried = b""
        while missing > 0:
            part = self._stream.read(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _compare(self) -> None:
        declared = self._outgoing
        if declared.size is not None:
            if self.bytes + len(self._carried) > declared.size:
                raise self._changed(f"has more than the declared {declared.size} bytes")
            if self.finished and self.bytes < declared.size:
                raise self._changed(f"has {self.bytes} bytes, not the declared {declared.size}")
        if self.finished and declared.sha256 is not None and declared.sha256.lower() != self.sha256:
            raise self._changed(f"has sha256 {self.sha256}, not the declared {declared.sha256}")

    def _changed(self, what: str) -> FileFault:
        return FileFault(
            TerminalError(
                f"the source {what}; it was not delivered",
                where=self._outgoing.path,
                action=Action.OPERATOR,
                remedy="the file changed after it was recorded: clear the run from the step that made it",
            )
        )

    def _unreadable(self, error: OSError) -> FileFault:
        if isinstance(error, FileNotFoundError):
            return FileFault(
                TerminalError(
                    "the source has no such file (any more)",
                    where=self._outgoing.path,
                    action=Action.OPERATOR,
                    remedy="find out whether it was deleted or is still to come; a later run sends it then",
                )
            )
        return FileFault(
            TransientError(
                f"the source can't be read: {error.strerror or type(error).__name__}",
                where=self._outgoing.path,
                action=Action.OPERATOR,
                remedy="retried; if it persists, check the file in its store",
            )
        )


@dataclasses.dataclass(frozen=True)
class Created:
    """An object that a store says it has created.

    Attributes:
        checksum: of what was sent.
        confirmed: the algorithm of the digest of the whole that the store answered with, if it is ours.
    """

    checksum: str
    confirmed: str | None = None


class Room:
    """Bounds the bytes that all files in flight hold at once, however many and however large they are."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Waits until there is room; who holds some must not wait for more."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: size <= self._free)
            self._free -= size
        try:
            yield
        finally:
            self.release(size)

    def try_take(self, size: int) -> bool:
        """Takes room if there is any, without waiting."""
        with self._changed:
            if size > self._free:
                return False
            self._free -= size
            return True

    def release(self, size: int) -> None:
        """Gives back what was taken."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


def conflict(path: str, where: str, found: str, ours: str) -> FileFault:
    """The fault of a name that is taken by other content."""
    return FileFault(
        DestinationConflict(
            f"{path} exists with other content ({found}, ours {ours}); it was left as it is",
            where=where,
            action=Action.OPERATOR,
            remedy="deliver it as a new revision, or ask the customer whether the file is theirs",
        )
    )


def in_the_way(path: str, where: str, action: Action = Action.CUSTOMER) -> TerminalError:
    """The failure of a folder whose name a file has."""
    return TerminalError(
        f"{path} is a file; a folder must have this name",
        where=where,
        action=action,
        remedy="move the file away or rename it, or choose another base directory for this destination",
    )


def altered(what: str, where: str) -> TerminalError:
    """The failure of a preflight whose test object is not as it was created."""
    return TerminalError(
        what,
        where=where,
        action=Action.CUSTOMER,
        remedy="the store alters or hides what it gets: look for a rule, a scanner or a proxy in front of "
        "it, then clear the task",
    )


def _is_overlong(path: str) -> bool:
    """Whether many stores would refuse the path for its length: then a refusal is of this file alone."""
    return len(path.encode()) > _MAX_PATH or any(len(part.encode()) > _MAX_NAME for part in path.split("/"))


@contextlib.contextmanager
def faults_of(file: Outgoing) -> Iterator[None]:
    """Raises what is a fault of this file alone as a `FileFault`: first of all a path that is refused."""
    try:
        safe_relative_path(file.path)
    except TerminalError as error:
        raise FileFault(error) from error
    try:
        yield
    except TerminalError as error:
        if not _is_overlong(file.path):
            raise
        raise FileFault(error) from error


def guarded(file: Outgoing, deliver: Callable[[Outgoing], Delivered]) -> Delivered | Undelivered:
    """Delivers one file; turns a fault of this file alone into a result."""
    try:
        with faults_of(file):
            return deliver(file)
    except FileFault as fault:
        return Undelivered(file.path, fault.error)


def in_flight(
    files: Iterable[Outgoing],
    submit: Callable[[Outgoing], Future[Delivered | Undelivered]],
    limit: int,
    stop: threading.Event,
) -> Iterator[Delivered | Undelivered]:
    """Keeps up to `limit` files in flight and pulls the next only when one has ended.

    When one raises, those that ended at the same moment are still yielded, the others are stopped, and the
    error is raised after all have ended.
    """
    source = iter(files)
    running: set[Future[Delivered | Undelivered]] = set()
    # Waiting on the set would touch each of its members whenever one ends.
    ended: SimpleQueue[Future[Delivered | Undelivered]] = SimpleQueue()
    try:
        while True:
            for file in islice(source, limit - len(running)):
                future = submit(file)
                running.add(future)
                future.add_done_callback(ended.put)
            if not running:
                return
            done = [ended.get(), *(ended.get_nowait() for _ in range(ended.qsize()))]
            running.difference_update(done)
            yield from (future.result() for future in done if future.exception() is None)
            for future in done:
                future.result()
    finally:
        stop.set()
        for future in running:
            future.cancel()
        wait(running)
        stop.clear()


def deliver_in_threads(
    files: Iterable[Outgoing],
    deliver: Callable[[Outgoing], Delivered],
    limit: int,
    stop: threading.Event,
) -> Iterator[Delivered | Undelivered]:
    """`in_flight` for connectors whose client library blocks: one thread per file in flight."""
    with ThreadPoolExecutor(limit, thread_name_prefix="outfeed-deliver") as pool:
        yield from in_flight(files, lambda file: pool.submit(guarded, file, deliver), limit, stop)


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a preflight: `run` does it and returns what it found, or raises an OutfeedError.

    A delivery is possible without a step that does not block.
    """

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()
    blocks: bool = True


def run_steps(steps: Iterable[Step]) -> Iterator[Check]:
    """Runs the steps in order; one whose needed steps have not passed is skipped and says why."""
    passed = set()
    for step in steps:
        missing = [name for name in step.needs if name not in passed]
        if missing:
            yield Check(step.name, CheckState.SKIPPED, f"not tried, because {missing[0]!r} did not pass")
            continue
        try:
            message = step.run()
        except OutfeedError as error:
            yield Check(step.name, CheckState.FAILED, str(error), error=error, blocks=step.blocks)
        else:
            passed.add(step.name)
            yield Check(step.name, CheckState.PASSED, message)
