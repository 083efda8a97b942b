"""Tables of SQLite: one read transaction for all of them.

Which rows changed is told by their clock columns alone: SQLite does not know what was committed late.
"""

from __future__ import annotations

import datetime as dt
import sqlite3

from outfeed.errors import Action, TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.sources import row_copy
from outfeed.sources.base import Progress
from outfeed.sources.sqlite_errors import explained
from outfeed.sources.sqlite_ranges import RangeCopy
from outfeed.sources.sqlite_values import column, conversion
from outfeed.sources.sqlite_worker import SqliteWorker
from outfeed.sources.tables import OpenSegment, TableCopied, TableCopy, TableSnapshot, quoted

_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


class SqliteTables(TableSnapshot):
    """One read transaction: it shows what was committed before it began, whatever others write meanwhile."""

    def __init__(self, connection: sqlite3.Connection, where: str, worker: SqliteWorker | None) -> None:
        super().__init__()
        self._connection = connection
        self._where = where
        self._worker = worker
        self._read_at = dt.datetime.now(dt.UTC)
        # A transaction sees what there is when it first reads, not when it begins.
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        ((self._encoding,),) = connection.execute("PRAGMA encoding").fetchall()

    @property
    def state(self) -> None:
        """SQLite has no word for it."""
        return

    @property
    def read_at(self) -> dt.datetime:
        """Begin of the transaction, by this machine's clock."""
        return self._read_at

    def columns(self, table: str) -> list[Column]:
        """See the base class; kinds come from the declared types."""
        schema, _, name = table.rpartition(".")
        query = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1"
        with self.timed(), explained(self._where, table):
            found = self._connection.execute(query, [name, schema or "main"]).fetchall()
        if not found:
            raise TerminalError(
                f"there is no table {table}",
                where=self._where,
                action=Action.ENGINEER,
                remedy="name the platform's table in catalogue.yaml",
            )
        return [column(*row) for row in found]

    def copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        """See the base class: a whole table in the order of its rowids, all else in that of the key."""
        with self.timed(), explained(self._where, copy.table):
            if copy.delta is not None or not self._has_rowids(copy.table):
                return self._copy_rows(copy, open_segment, progress)
            rows = RangeCopy(self._connection, self._worker, copy, open_segment, progress).write()
            return TableCopied(rows, 0, 0)

    def _has_rowids(self, table: str) -> bool:
        """Whether its rows have numbers that no column hides, and texts are UTF-8."""
        schema, _, name = table.rpartition(".")
        query = (
            "SELECT 1 FROM pragma_table_list WHERE schema = ? AND lower(name) = lower(?)"
            " AND type = 'table' AND NOT wr"
            " AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(?, ?) WHERE lower(name) = '_rowid_')"
        )
        schema = schema or "main"
        found = self._connection.execute(query, [schema, name, name, schema]).fetchall()
        return bool(found) and self._encoding == "UTF-8"

    def _copy_rows(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        sql = _ClockSql()
        count = row_copy.count_undated(copy, sql)
        ((undated,),) = self._connection.execute(count).fetchall() if count else [(0,)]
        cursor = self._connection.execute(row_copy.select(copy, sql, [quoted(c.name) for c in copy.columns]))
        convert = [conversion(each, copy.dialect.date) for each in copy.columns]
        return TableCopied(row_copy.write_rows(cursor, copy, open_segment, progress, convert), 0, undated)


class _ClockSql(row_copy.ClockSql):
    """Clocks are texts in UTC whose order is that of time, with a space or a `T` in the middle."""

    def name(self, identifier: str) -> str:
        """See the base class."""
        return quoted(identifier)

    def bound(self, column: Column, text: str) -> str:
        """The shortest text of the instant: those with more zeros follow it."""
        text = text.removesuffix(".000000").removesuffix(" 00:00:00")
        if column.kind is Kind.DATE or " " not in text:
            return f"'{text}'"
        middle = f"substr({quoted(column.name)}, 11, 1)"
        return f"CASE {middle} WHEN 'T' THEN '{text.replace(' ', 'T')}' ELSE '{text}' END"

    def missing(self, column: Column) -> str:
        """What is not written as a date tells no time either."""
        return f"ifnull({quoted(column.name)}, '') NOT GLOB '{_DATE}'"
