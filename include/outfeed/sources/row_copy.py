"""What engines share that hand over rows: which rows a delta holds, and rows as segments."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_rows import RowEncoder
from outfeed.sources.base import Progress
from outfeed.sources.tables import Delta, OpenSegment, TableCopy

#: Bytes per write to staging.
_BLOCK = 1 << 20
_ROWS_PER_FETCH = 2000

#: Turns what a driver gives for a column into what `RowEncoder` takes.
Convert = Callable[[Sequence[Any]], Sequence[Any]]


class ClockSql(ABC):
    """How an engine compares a clock column with an instant."""

    @abstractmethod
    def name(self, identifier: str) -> str:
        """A column or table, quoted."""

    @abstractmethod
    def bound(self, column: Column, text: str) -> str:
        """A value of the column's type; the text is `2018-01-09 14:56:13.000001` in UTC, or a date."""

    def before(self, column: Column, instant: dt.datetime) -> str:
        """Whether the column is before an instant."""
        return f"{self.name(column.name)} < {self.bound(column, self._text(column, instant))}"

    def since(self, column: Column, instant: dt.datetime) -> str:
        """Whether the column is an instant or after it."""
        return f"{self.name(column.name)} >= {self.bound(column, self._text(column, instant))}"

    def missing(self, column: Column) -> str:
        """Whether the column tells no time."""
        return f"{self.name(column.name)} IS NULL"

    def _text(self, column: Column, instant: dt.datetime) -> str:
        instant = instant.astimezone(dt.UTC).replace(tzinfo=None)
        if column.kind is not Kind.DATE:
            return instant.isoformat(" ", "microseconds")
        # A date is its midnight: it is not before an instant later on the day, but the next date is.
        midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
        return (instant.date() + dt.timedelta(days=instant > midnight)).isoformat()


def within(delta: Delta, sql: ClockSql) -> str:
    """Whether the greatest clock of a row that is not null lies in the window (VI-020, VI-023).

    The start belongs to the window, its end doesn't. Written so that an index on each column serves.
    """
    window = delta.window
    touched = [f"({sql.since(c, window.start)} AND {sql.before(c, window.end)})" for c in delta.clock]
    if len(touched) == 1:
        return touched[0]
    settled = [f"({sql.missing(c)} OR {sql.before(c, window.end)})" for c in delta.clock]
    return f"(({' OR '.join(touched)}) AND {' AND '.join(settled)})"


def undated(delta: Delta, sql: ClockSql) -> str:
    """Whether a row has no clock at all."""
    return " AND ".join(f"({sql.missing(column)})" for column in delta.clock)


def select(copy: TableCopy, sql: ClockSql, values: Sequence[str]) -> str:
    """The rows of a copy, ordered by the key."""
    where = "" if copy.delta is None else f" WHERE {within(copy.delta, sql)}"
    keys = ", ".join(sql.name(key) for key in copy.key)
    return f"SELECT {', '.join(values)} FROM {sql.name(copy.table)}{where} ORDER BY {keys}"


def count_undated(copy: TableCopy, sql: ClockSql) -> str | None:
    """The statement that counts the rows that no delta ever holds; None for a snapshot."""
    if copy.delta is None:
        return None
    return f"SELECT count(*) FROM {sql.name(copy.table)} WHERE {undated(copy.delta, sql)}"


def count_within(copy: TableCopy, delta: Delta, sql: ClockSql) -> str:
    """The statement that counts the rows of a delta of the copy's table."""
    return f"SELECT count(*) FROM {sql.name(copy.table)} WHERE {within(delta, sql)}"


class TableWriter:
    """Writes the header and rows of a table as a segment, in large blocks (design §8).

    Args:
        number: of the segment: only the first one has the header.
    """

    def __init__(self, copy: TableCopy, stream: BinaryIO, progress: Progress, number: int = 0) -> None:
        self.rows = 0
        self.bytes = 0
        self._stream = stream
        self._progress = progress
        self._blocks: list[bytes] = []
        self._pending = 0
        if number == 0:
            self.write(0, copy.dialect.header_line(copy.columns))

    def write(self, rows: int, block: bytes) -> None:
        """Takes the lines of some rows."""
        self.rows += rows
        self._blocks.append(block)
        self._pending += len(block)
        if self._pending >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Writes what was collected."""
        self._stream.write(b"".join(self._blocks))
        self.bytes += self._pending
        self._blocks.clear()
        self._pending = 0
        self._progress(self.rows, self.bytes)


def write_rows(
    cursor: Any,
    copy: TableCopy,
    open_segment: OpenSegment,
    progress: Progress,
    convert: Sequence[Convert | None],
) -> int:
    """Writes the rows of a cursor as one segment; returns their number. Only some of them are in memory.

    Args:
        convert: for each column what its values need before they are encoded, if anything.
    """
    encoder = RowEncoder(copy.columns, copy.dialect)
    with open_segment(0) as stream:
        writer = TableWriter(copy, stream, progress)
        while rows := cursor.fetchmany(_ROWS_PER_FETCH):
            columns = [
                values if change is None else change(values)
                for change, values in zip(convert, zip(*rows, strict=True), strict=True)
            ]
            cells = [encoder.cells(index, values) for index, values in enumerate(columns)]
            writer.write(len(rows), encoder.lines(cells))
        writer.flush()
    return writer.rows
