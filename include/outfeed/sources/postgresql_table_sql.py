"""SQL by which PostgreSQL writes rows as CSV: dialect, dates and line breaks are done in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import FORMULA_STARTS, CsvDialect
from outfeed.sources.tables import Delta, TableCopy, quoted


@dataclasses.dataclass(frozen=True)
class Seen:
    """A state of the database as `pg_current_snapshot` wrote it, and the next transaction's number now."""

    snapshot: str
    next_xid: int

    @property
    def xmin(self) -> int:
        """All transactions below had ended."""
        return int(self.snapshot.partition(":")[0])


def literal(text: str) -> str:
    """A text in SQL, whatever `standard_conforming_strings` says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def values(copy: TableCopy) -> list[str]:
    """The columns as COPY is to write them."""
    return [value(column, copy.dialect) for column in copy.columns]


def value(column: Column, dialect: CsvDialect) -> str:
    """A column's value as the text of the file (VI-C04, VI-C07)."""
    name = quoted(column.name)
    if column.kind in (Kind.INSTANT, Kind.LOCAL):
        return dialect.date.postgresql(name, column.kind)
    if column.kind is Kind.BOOLEAN:
        return f"{name}::int"
    if column.kind is Kind.BYTES:
        return f"encode({name}, 'hex')"
    if column.kind in (Kind.TEXT, Kind.JSON):
        return _text(f"{name}::text", column.kind, dialect)
    return name


def _text(expression: str, kind: Kind, dialect: CsvDialect) -> str:
    if dialect.formula_guard and kind is Kind.TEXT:
        starts = literal(FORMULA_STARTS)
        expression = (
            f"CASE WHEN strpos({starts}, left({expression}, 1)) > 0 AND {expression} <> '' "
            f"THEN '''' || {expression} ELSE {expression} END"
        )
    replacement = dialect.line_break_in(kind)
    if replacement is None:
        return expression
    # Two breaks in a row are two. Most values have none: looking is cheaper than replacing.
    put = literal(replacement)
    replaced = f"replace(replace(replace({expression}, E'\\r\\n', {put}), E'\\n', {put}), E'\\r', {put})"
    found = f"strpos({expression}, E'\\n') > 0 OR strpos({expression}, E'\\r') > 0"
    return f"CASE WHEN {found} THEN {replaced} ELSE {expression} END"


def copy_options(columns: Sequence[Column], dialect: CsvDialect) -> dict[str, Any]:
    """The dialect as options of COPY (VI-C03, VI-C05, VI-C06)."""
    enclosed = [column.name for column in columns if dialect.encloses(column.kind)]
    return {
        "format": "csv",
        "encoding": "UTF8",
        "delimiter": dialect.separator,
        "quote": dialect.enclosure,
        "escape": dialect.escape,
        **({"force_quote": enclosed} if enclosed else {}),
    }


def bound(text: str, column: Column) -> str:
    """An instant in UTC as a value of a clock column's type."""
    if column.kind is Kind.INSTANT:
        return f"timestamptz '{text}'"
    return f"(timestamptz '{text}' AT TIME ZONE 'UTC')"


def within(delta: Delta) -> str:
    """Whether a row changed in the window: `greatest(…)` written so that an index on each column serves."""
    start, end = delta.window.start.isoformat(), delta.window.end.isoformat()
    touched = [
        f"({quoted(c.name)} >= {bound(start, c)} AND {quoted(c.name)} < {bound(end, c)})" for c in delta.clock
    ]
    settled = [f"({quoted(c.name)} IS NULL OR {quoted(c.name)} < {bound(end, c)})" for c in delta.clock]
    if len(touched) == 1:
        return touched[0]
    return f"(({' OR '.join(touched)}) AND {' AND '.join(settled)})"


def late(delta: Delta, seen: Seen) -> str:
    """Whether a row of an earlier window was committed after that window had been read.

    A row version's `xmin` is the transaction that wrote it, cut to 32 bits: it is the greatest number below
    the next one that ends so.
    """
    written = f"({seen.next_xid} - (({seen.next_xid} - xmin::text::bigint) & 4294967295))"
    first = [f"{quoted(c.name)} >= {bound(delta.late_from.isoformat(), c)}" for c in delta.clock]
    before = [
        f"({quoted(c.name)} IS NULL OR {quoted(c.name)} < {bound(delta.window.start.isoformat(), c)})"
        for c in delta.clock
    ]
    return (
        f"(({' OR '.join(first)}) AND {' AND '.join(before)} AND {written} >= {seen.xmin} "
        f"AND NOT pg_visible_in_snapshot({written}::text::xid8, {literal(seen.snapshot)}::pg_snapshot))"
    )


def undated(delta: Delta) -> str:
    """Whether a row has no clock at all."""
    return " AND ".join(f"{quoted(column.name)} IS NULL" for column in delta.clock)
