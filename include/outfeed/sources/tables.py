"""What engines must be able to do for tables: tell columns, and write rows as the bytes of a file."""

from __future__ import annotations

import dataclasses
import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources.base import Progress
from outfeed.sources.timing import Timed
from outfeed.windows import Window

#: Opens the next segment of a file by its number; the engine closes it.
OpenSegment = Callable[[int], BinaryIO]

#: What a column may be to serve as a clock.
CLOCK_KINDS = frozenset({Kind.INSTANT, Kind.LOCAL, Kind.DATE})


@dataclasses.dataclass(frozen=True)
class Delta:
    """Which rows of a table changed in a window.

    Attributes:
        clock: columns of the instant of change: the greatest that is not null.
        seen: state of the source when the previous delta was read; None if nobody knows.
        late_days: how far before the window rows are looked for that `seen` did not show.
    """

    clock: tuple[Column, ...]
    window: Window
    seen: str | None
    late_days: int

    @property
    def late_from(self) -> dt.datetime:
        """From when on late rows are looked for."""
        return self.window.start - dt.timedelta(days=self.late_days)


@dataclasses.dataclass(frozen=True)
class TableCopy:
    """What is to be copied: these columns of a table, all rows or a delta, in this dialect."""

    table: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    dialect: CsvDialect
    delta: Delta | None


@dataclasses.dataclass(frozen=True)
class TableCopied:
    """What was copied.

    Attributes:
        rows: as the database counted them.
        late: of them, those that are older than the window.
        undated: rows of the table without any clock: no delta ever holds them.
    """

    rows: int
    late: int
    undated: int


class TableSnapshot(Timed, ABC):
    """One consistent, read-only state of a database, for all tables of a task."""

    @property
    @abstractmethod
    def state(self) -> str | None:
        """What tells this state from later ones; None if the engine has no word for it."""

    @property
    @abstractmethod
    def read_at(self) -> dt.datetime:
        """When this state was, by the database's clock."""

    @abstractmethod
    def columns(self, table: str) -> list[Column]:
        """The columns of a table or view, in its order.

        Raises:
            TerminalError: there is no such table, or it may not be read.
        """

    @abstractmethod
    def copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        """Writes the header and all rows; the segments in the order of their numbers are the file."""


class TableEngine(ABC):
    """An engine that can read tables."""

    @abstractmethod
    def tables(self) -> AbstractContextManager[TableSnapshot]:
        """Connects and gives one state for all tables; nothing is left open afterwards.

        Raises:
            TransientError: the database can't be reached.
            TerminalError: it refuses the login, or does not exist.
        """


def quoted(identifier: str) -> str:
    """A table or column, perhaps with its schema, as standard SQL quotes it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in identifier.split("."))


def quoted_list(names: Sequence[str]) -> str:
    """Several columns, quoted."""
    return ", ".join(quoted(name) for name in names)
