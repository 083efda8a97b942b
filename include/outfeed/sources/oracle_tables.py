"""Tables of Oracle: one read-only transaction, rows streamed through the thin driver.

Never run against a server: none could be had. Only the mapping of types and the text of the statements are
tested, with a stand-in for the driver. Which rows changed is told by their clock columns alone: what was
committed late is not found. Names are as Oracle has them, so catalogue.yaml spells columns in capitals.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from outfeed.formats.columns import Column, Kind
from outfeed.sources import row_copy
from outfeed.sources.base import Progress
from outfeed.sources.oracle_errors import explained
from outfeed.sources.row_copy import Convert
from outfeed.sources.server import Server
from outfeed.sources.tables import OpenSegment, TableCopied, TableCopy, TableSnapshot, quoted
from outfeed.sources.verdicts import Verdict

_ARRAY_SIZE = 1000

_SESSION = (
    "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "ALTER SESSION SET NLS_SORT = BINARY NLS_COMP = BINARY",
    # Must be the first statement of its transaction.
    "SET TRANSACTION READ ONLY",
)
_NOW = "SELECT CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS TIMESTAMP(6)) FROM dual"

#: A name that is not in capitals was most likely never quoted when the table was made.
_COLUMNS = """
    SELECT owner, table_name, column_name, data_type, data_precision, data_scale
    FROM all_tab_columns
    WHERE owner IN (NVL(:schema_name, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')), UPPER(:schema_name))
      AND table_name IN (:table_name, UPPER(:table_name))
    ORDER BY CASE WHEN table_name = :table_name THEN 0 ELSE 1 END, owner, table_name, column_id
"""

#: Kinds by what a data type begins with; anything else is text.
_KINDS = (
    (r"TIMESTAMP(\(\d\))? WITH", Kind.INSTANT),
    (r"TIMESTAMP|DATE$", Kind.LOCAL),
    (r"NUMBER|FLOAT", Kind.DECIMAL),
    (r"BINARY_(FLOAT|DOUBLE)", Kind.FLOAT),
    (r"(LONG )?RAW|BLOB", Kind.BYTES),
    (r"JSON", Kind.JSON),
    (r"BOOLEAN", Kind.BOOLEAN),
)


class OracleTables(TableSnapshot):
    """One connection in a read-only transaction: it shows what was committed before it began."""

    def __init__(self, connection: Any, server: Server) -> None:
        super().__init__()
        self._connection = connection
        self._server = server
        self._places: dict[str, str] = {}
        self._types: dict[str, dict[str, str]] = {}
        with explained(server), connection.cursor() as cursor:
            (self._now,) = cursor.execute(_NOW).fetchone()
            for statement in _SESSION:
                cursor.execute(statement)

    @property
    def state(self) -> None:
        """What Oracle calls it, an SCN, tells nothing about rows."""
        return

    @property
    def read_at(self) -> dt.datetime:
        """Just before the transaction."""
        now: dt.datetime = self._now
        return now.replace(tzinfo=dt.UTC)

    def columns(self, table: str) -> list[Column]:
        """See the base class."""
        schema, _, name = table.rpartition(".")
        names = {"schema_name": schema or None, "table_name": name}
        found = self._rows(table, _COLUMNS, names)
        if not found:
            raise Verdict.UNFIT.error(f"there is no table {table} that the login may see", self._server.where)
        place = found[0][:2]
        found = [row for row in found if row[:2] == place]
        self._places[table] = ".".join(quoted(each) for each in place)
        self._types[table] = {row[2]: row[3] for row in found}
        return [_column(*row[2:]) for row in found]

    def copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        """See the base class: in the order of the key."""
        types = self._types[copy.table]
        sql = _ClockSql(copy.table, self._places[copy.table], types)
        count = row_copy.count_undated(copy, sql)
        undated = int(self._rows(copy.table, count)[0][0]) if count else 0
        values = [_value(column, types[column.name]) for column in copy.columns]
        convert = [_conversion(column) for column in copy.columns]
        with self.timed(), explained(self._server, copy.table), self._connection.cursor() as cursor:
            cursor.arraysize = _ARRAY_SIZE
            cursor.prefetchrows = _ARRAY_SIZE + 1
            statement = row_copy.select(copy, sql, values)
            cursor.execute(statement, fetch_lobs=False, fetch_decimals=True)
            rows = row_copy.write_rows(cursor, copy, open_segment, progress, convert)
        return TableCopied(rows, 0, undated)

    def _rows(self, table: str, query: str, names: dict[str, Any] | None = None) -> list[Any]:
        with self.timed(), explained(self._server, table), self._connection.cursor() as cursor:
            return list(cursor.execute(query, names or {}).fetchall())


class _ClockSql(row_copy.ClockSql):
    """Literals have the type of the column, whose index then serves."""

    def __init__(self, table: str, place: str, types: dict[str, str]) -> None:
        self._table = table
        self._place = place
        self._types = types

    def name(self, identifier: str) -> str:
        """See the base class; the table is where it was found."""
        return self._place if identifier == self._table else quoted(identifier)

    def bound(self, column: Column, text: str) -> str:
        """See the base class."""
        if column.kind is Kind.INSTANT:
            return f"TIMESTAMP'{text} +00:00'"
        if self._types[column.name] == "DATE" and text.endswith(".000000"):
            return f"TO_DATE('{text.removesuffix('.000000')}', 'YYYY-MM-DD HH24:MI:SS')"
        return f"TIMESTAMP'{text}'"


def _column(name: str, data_type: str, precision: int | None, scale: int | None) -> Column:
    kind = next((kind for begin, kind in _KINDS if re.match(begin, data_type)), Kind.TEXT)
    if kind is not Kind.DECIMAL or data_type != "NUMBER" or scale is None:
        return Column(name, kind)
    if scale <= 0:
        return Column(name, Kind.INTEGER)
    # A number may have more digits after its point than it has digits: NUMBER(2,5).
    return Column(name, kind, max(precision or 38, scale), scale)


def _value(column: Column, data_type: str) -> str:
    """What the server is asked for: what the driver can't tell is made text or UTC."""
    value = quoted(column.name)
    if column.kind is Kind.INSTANT:
        # The driver leaves the zone away.
        return f"SYS_EXTRACT_UTC(CAST({value} AS TIMESTAMP WITH TIME ZONE))"
    if column.kind is Kind.JSON:
        return f"JSON_SERIALIZE({value} RETURNING CLOB)"
    if data_type.startswith("INTERVAL"):
        return f"TO_CHAR({value})"
    if data_type in ("ROWID", "UROWID"):
        return f"ROWIDTOCHAR({value})"
    return value


def _conversion(column: Column) -> Convert | None:
    if column.kind is Kind.DECIMAL and column.scale:
        template = f"{{:.{column.scale}f}}"
        return lambda values: [_scaled(value, template) for value in values]
    return None


def _scaled(value: Any, template: str) -> Any:
    """A decimal with all digits of its scale; the driver leaves zeros at the end away."""
    return template.format(value) if isinstance(value, Decimal) else value
