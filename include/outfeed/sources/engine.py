"""What the database engines share: one consistent read of a database, and lines that leave it in blocks."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from outfeed.datasets import Statement
from outfeed.sources.base import OpenStaged, Progress
from outfeed.sources.timing import Timed

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials

#: Bytes per write to staging.
BLOCK_SIZE = 4 << 20

#: Values for the named parameters of a statement.
Parameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Copy:
    """A statement whose only column becomes the lines of a staged file."""

    statement: Statement
    parameters: Parameters
    name: str


@dataclasses.dataclass(frozen=True)
class Copied:
    """A staged file that a `Copy` became."""

    path: str
    rows: int
    bytes: int


class Tally:
    """Rows and bytes written so far, by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rows = 0
        self.bytes = 0

    def add(self, rows: int, count: int) -> None:
        """Counts what was written."""
        with self._lock:
            self.rows += rows
            self.bytes += count


class LineWriter:
    """Collects lines, each with its `\\n`, and writes them in large blocks (design §8)."""

    def __init__(self, stream: BinaryIO, tally: Tally) -> None:
        self._stream = stream
        self._tally = tally
        self._lines: list[bytes] = []
        self._pending = 0
        self.rows = 0
        self.bytes = 0

    def write(self, line: bytes) -> None:
        """Takes one line."""
        self._lines.append(line)
        self._pending += len(line)
        if self._pending >= BLOCK_SIZE:
            self.flush()

    def flush(self) -> None:
        """Writes what was collected."""
        self._stream.write(b"".join(self._lines))
        self._tally.add(len(self._lines), self._pending)
        self.rows += len(self._lines)
        self.bytes += self._pending
        self._lines.clear()
        self._pending = 0


class Snapshot(Timed, ABC):
    """One consistent, read-only view of a database, for the time of one part."""

    @abstractmethod
    def rows(self, statement: Statement, parameters: Parameters) -> list[tuple[Any, ...]]:
        """The rows of a statement with a small result."""

    @abstractmethod
    def pieces(self, dataset: str, parameters: Parameters) -> list[Parameters]:
        """The window of `parameters` as smaller windows, in order, that can be read at the same time."""

    @abstractmethod
    def copy(self, copies: Sequence[Copy], open_staged: OpenStaged, progress: Progress) -> list[Copied]:
        """Stages the result of each statement; several at once where the engine can."""


class Engine(ABC):
    """A kind of database, found by the scheme of its URL. `name` is the folder of its SQL in a dataset."""

    name: ClassVar[str]

    def __init__(self, url: str, credentials: Credentials, max_parallel: int) -> None:
        self.url = url
        self.credentials = credentials
        self.max_parallel = max_parallel

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Connects and gives a consistent view; nothing is left open afterwards.

        Raises:
            TransientError: the database can't be reached.
            TerminalError: it refuses the login, or does not exist.
        """

    def instant(self, value: dt.datetime) -> Any:
        """An instant as a parameter of this engine's statements."""
        return value
