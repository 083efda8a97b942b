"""Tables of MariaDB and MySQL: one consistent snapshot, rows streamed as the server spells their values.

Only tables of a transactional engine (InnoDB) have such a snapshot. The server does not say which rows a
former read could not see, but `mysql_horizon` knows the time before which there can be none. If the window
reached beyond it, because a transaction was open, the next delta reads the rows from there on again (VI-020).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources import row_copy
from outfeed.sources.base import Progress
from outfeed.sources.date_texts import DateTexts
from outfeed.sources.mysql_errors import explained
from outfeed.sources.mysql_horizon import late_window, read_horizon, shortcoming
from outfeed.sources.row_copy import Convert
from outfeed.sources.server import Server
from outfeed.sources.tables import Delta, OpenSegment, TableCopied, TableCopy, TableSnapshot
from outfeed.windows import Window

log = logging.getLogger(__name__)

#: A night's export that takes longer is a fault of its plan or its server.
_STATEMENT_SECONDS = 7200

#: The server must not give up while a slow store takes what we read.
_SESSION = """
    SET SESSION time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES', wait_timeout = 28800,
        net_read_timeout = 3600, net_write_timeout = 3600, lock_wait_timeout = 60
"""

_COLUMNS = """
    SELECT column_name, lower(data_type), lower(column_type), numeric_precision, numeric_scale
    FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {table}
    ORDER BY ordinal_position
"""
#: MariaDB's JSON is a text with a check.
_JSON_CHECKS = """
    SELECT check_clause FROM information_schema.check_constraints
    WHERE constraint_schema = {schema} AND table_name = {table} AND check_clause LIKE 'json_valid(%'
"""
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"), Kind.INTEGER),
    **dict.fromkeys(("float", "double"), Kind.FLOAT),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
    **dict.fromkeys(("geometry", "point", "linestring", "polygon", "multipoint"), Kind.BYTES),
    **dict.fromkeys(("multilinestring", "multipolygon", "geometrycollection", "vector"), Kind.BYTES),
    "decimal": Kind.DECIMAL,
    "timestamp": Kind.INSTANT,
    "datetime": Kind.LOCAL,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "json": Kind.JSON,
    "uuid": Kind.UUID,
}


class MysqlTables(TableSnapshot):
    """One connection in a read-only transaction with a snapshot."""

    def __init__(self, connection: Any, server: Server) -> None:
        super().__init__()
        self._connection = connection
        self._server = server
        #: Spellings of values that depend on more than the kind.
        self._types: dict[str, dict[str, str]] = {}
        self._warned: set[str] = set()
        with explained(server):
            self._begin()

    @property
    def state(self) -> str:
        """The horizon: what is older will not change behind it any more."""
        return self._horizon.state

    @property
    def read_at(self) -> dt.datetime:
        """Just before the snapshot."""
        return self._read_at

    def columns(self, table: str) -> list[Column]:
        """See the base class."""
        # The catalogue is silent about tables that the login may not see; the server's refusal is not.
        self._rows(table, f"SELECT 1 FROM {name(table)} LIMIT 0")
        schema, _, bare = table.rpartition(".")
        names = {"schema": text(schema) if schema else "database()", "table": text(bare)}
        found = self._rows(table, _COLUMNS.format(**names))
        checks = self._rows(table, _JSON_CHECKS.format(**names)) if self._mariadb else []
        as_json = {check.removeprefix("json_valid(").rstrip(")").strip("`") for (check,) in checks}
        self._types[table] = {row[0]: row[2] for row in found}
        return [_column(row, as_json) for row in found]

    def copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        """See the base class: in the order of the key."""
        sql = _ClockSql()
        count = row_copy.count_undated(copy, sql)
        undated = self._number(copy.table, count) if count else 0
        copy, late = self._with_late_rows(copy, sql)
        types = self._types.get(copy.table) or {}
        values = [_value(column, types.get(column.name, "")) for column in copy.columns]
        convert = [_conversion(column, types.get(column.name, ""), copy.dialect) for column in copy.columns]
        with self.timed(), explained(self._server, copy.table), self._streaming() as cursor:
            cursor.execute(row_copy.select(copy, sql, values))
            rows = row_copy.write_rows(cursor, copy, open_segment, progress, convert)
        return TableCopied(rows, late, undated)

    def _with_late_rows(self, copy: TableCopy, sql: _ClockSql) -> tuple[TableCopy, int]:
        """What is read in truth, and how many of its rows are older than the window."""
        if copy.delta is None:
            return copy, 0
        self._warn(copy.delta)
        window = late_window(copy.delta)
        if window is None:
            return copy, 0
        late = _moved(copy.delta, window)
        both = _moved(copy.delta, Window(window.start, copy.delta.window.end))
        count = self._number(copy.table, row_copy.count_within(copy, late, sql))
        return dataclasses.replace(copy, delta=both), count

    def _warn(self, delta: Delta) -> None:
        """Once for all tables of a run."""
        problem = shortcoming(delta, self._horizon)
        if problem and problem not in self._warned:
            self._warned.add(problem)
            log.warning("%s: rows that commit late may be lost: %s", self._server.where, problem)

    @contextmanager
    def _streaming(self) -> Iterator[Any]:
        """A cursor that keeps no rows; those that nobody took are read in the end, for the next statement."""
        from pymysql import MySQLError
        from pymysql.cursors import SSCursor

        cursor = self._connection.cursor(SSCursor)
        try:
            yield cursor
        finally:
            if self._connection.open:
                with suppress(MySQLError):
                    cursor.close()
            # Or both would try again when they are collected.
            if cursor._result is not None:
                cursor._result.unbuffered_active = False
            cursor.connection = None

    def _begin(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(_SESSION)
            cursor.execute("SELECT version()")
            ((version,),) = cursor.fetchall()
            self._mariadb = "mariadb" in version.lower()
            limit = "max_statement_time" if self._mariadb else "max_execution_time"
            seconds = _STATEMENT_SECONDS if self._mariadb else _STATEMENT_SECONDS * 1000
            cursor.execute(f"SET SESSION {limit} = {seconds}")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT utc_timestamp(6)")
            ((now,),) = cursor.fetchall()
            self._read_at = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
            self._horizon = read_horizon(cursor, self._read_at)
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def _number(self, table: str, query: str) -> int:
        ((number,),) = self._rows(table, query)
        return int(number)

    def _rows(self, table: str, query: str) -> Sequence[tuple[Any, ...]]:
        with self.timed(), explained(self._server, table), self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


class _ClockSql(row_copy.ClockSql):
    """Literals have the type of the column, whose index then serves."""

    def name(self, identifier: str) -> str:
        return name(identifier)

    def bound(self, column: Column, text: str) -> str:
        return f"{'DATE' if column.kind is Kind.DATE else 'TIMESTAMP'}'{text}'"

    def missing(self, column: Column) -> str:
        """Nor does a date like `0000-00-00` tell a time."""
        return f"{name(column.name)} IS NULL OR MONTH({name(column.name)}) = 0"


def _moved(delta: Delta, window: Window) -> Delta:
    return dataclasses.replace(delta, window=window)


def name(identifier: str) -> str:
    """A table or column, perhaps with its schema, quoted."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in identifier.split("."))


def text(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def _column(row: Sequence[Any], as_json: set[str]) -> Column:
    column, data_type, column_type, precision, scale = row
    kind = _KINDS.get(data_type, Kind.TEXT)
    if column_type.startswith("tinyint(1)") or column_type == "bit(1)":
        kind = Kind.BOOLEAN
    if kind is Kind.TEXT and column in as_json:
        kind = Kind.JSON
    if kind is Kind.DECIMAL:
        return Column(column, kind, int(precision), int(scale))
    return Column(column, kind)


def _value(column: Column, type_: str) -> str:
    """What the server is asked for: its own spelling of the value, but for some."""
    value = name(column.name)
    if column.kind is Kind.BOOLEAN:
        return f"{value} <> 0"
    if column.kind is Kind.BYTES:
        return f"LOWER(HEX({value}))"
    if type_.startswith(("float", "bit")):
        # The server rounds these, or gives bytes.
        return f"{value} + {'0e0' if column.kind is Kind.FLOAT else '0'}"
    return value


def _conversion(column: Column, type_: str, dialect: CsvDialect) -> Convert | None:
    """What the server's spelling needs to be that of all engines."""
    if column.kind in (Kind.INSTANT, Kind.LOCAL):
        return DateTexts(dialect.date)
    if column.kind is Kind.FLOAT:
        return _each(_single if type_.startswith("float") else float)
    if column.kind is Kind.TIME:
        return _each(lambda value: value.rstrip("0").rstrip(".") if "." in value else value)
    return None


def _each(change: Callable[[str], Any]) -> Convert:
    return lambda values: [None if value is None else change(value) for value in values]


def _single(text: str) -> float:
    """The shortest number that single precision takes for the same."""
    value = float(text)
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return float(f"{value:.9g}")
