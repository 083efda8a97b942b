"""Whole tables of SQLite in ranges of rowids, read by two processes if there is a second one."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from outfeed.sources.base import Progress
from outfeed.sources.row_copy import TableWriter
from outfeed.sources.sqlite_lines import EVERYTHING, LineCopy, Range
from outfeed.sources.sqlite_worker import SqliteWorker
from outfeed.sources.tables import OpenSegment, TableCopy, quoted

#: Rowids below are not worth several ranges; some more than processes even out what they weigh.
_WORTH_SPLITTING = 100_000
_RANGES = 8


class RangeCopy:
    """Guarantees the same segments whether there is a second process or not (D37)."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        worker: SqliteWorker | None,
        copy: TableCopy,
        open_segment: OpenSegment,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._worker = worker
        self._copy = copy
        self._open_segment = open_segment
        self._progress = progress
        self._waiting: deque[tuple[int, Range]] = deque()
        #: Rows of each range.
        self._rows: dict[int, int] = {}

    def write(self) -> int:
        """Writes all rows; returns their number."""
        self._waiting.extend(enumerate(self._ranges()))
        helped = self._worker is not None and self._worker.alive and len(self._waiting) > 1
        with ThreadPoolExecutor(1, "sqlite") as pool:
            other = pool.submit(self._drain_by_worker) if helped else None
            try:
                self._drain()
            except BaseException:
                self._waiting.clear()
                raise
            if other is not None:
                other.result()
        return sum(self._rows.values())

    def _ranges(self) -> Sequence[Range]:
        """Ranges that hold each row once, in order."""
        query = f"SELECT min(_rowid_), max(_rowid_) FROM {quoted(self._copy.table)}"
        ((first, last),) = self._connection.execute(query).fetchall()
        if first is None or last - first < _WORTH_SPLITTING:
            return [EVERYTHING]
        cuts = [first + (last - first) * number // _RANGES for number in range(1, _RANGES)]
        return list(zip([EVERYTHING[0], *cuts], [*cuts, EVERYTHING[1]], strict=True))

    def _drain(self) -> None:
        """Writes ranges until none is left."""
        lines = LineCopy(self._connection, self._copy)
        while self._waiting:
            number, rows = self._waiting.popleft()
            with self._open_segment(number) as stream:
                writer = TableWriter(self._copy, stream, self._progress, number)
                self._rows[number] = lines.write(rows, writer.write)
                writer.flush()

    def _drain_by_worker(self) -> None:
        """The same in the second process, at the same time."""
        assert self._worker is not None  # noqa: S101 - nobody asked otherwise
        try:
            while self._waiting:
                number, rows = self._waiting.pop()
                with self._open_segment(number) as stream:
                    self._rows[number] = self._worker.copy(self._copy, rows, stream)
        except BaseException:
            self._waiting.clear()
            raise
