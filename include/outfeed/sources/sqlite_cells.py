"""How SQLite itself writes a column's values as they stand in a CSV file; NULL says that it can't."""

from __future__ import annotations

import string
from enum import IntEnum

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources.tables import quoted

#: What numbers, bytes and booleans are written with.
_PLAIN = frozenset(string.digits + "+-." + "abcdef")
_TEXTS = frozenset((Kind.TEXT, Kind.JSON, Kind.UUID, Kind.DATE, Kind.TIME))
#: Beyond, a number with a point has no decimal form of its own.
_SURE_DIGITS = 15


class Way(IntEnum):
    """Who writes the values of a column, the fastest way first.

    LINE: SQLite, in one text with its neighbours, which is then searched for what needs an enclosure.
    CELL: SQLite, by itself and enclosed where it must be.
    PYTHON: Python, from the values.
    """

    LINE = 0
    CELL = 1
    PYTHON = 2


def first_way(column: Column, dialect: CsvDialect, *, alone: bool) -> Way:
    """The fastest way that may serve for a column."""
    if alone or (dialect.formula_guard and column.kind is Kind.TEXT):
        return Way.PYTHON
    if column.kind in _TEXTS:
        return Way.CELL if dialect.encloses(column.kind) else Way.LINE
    known = column.kind in (Kind.INTEGER, Kind.BOOLEAN, Kind.BYTES) or column.scale is not None
    special = {dialect.separator, dialect.enclosure, dialect.escape}
    return Way.LINE if known and not special & _PLAIN else Way.PYTHON


def next_way(column: Column, way: Way) -> Way:
    """The way for a column whose way met a value that it could not write."""
    return Way.CELL if way is Way.LINE and column.kind in _TEXTS else Way.PYTHON


def in_line(column: Column, dialect: CsvDialect) -> str:
    """The SQL of a value without enclosures."""
    name = quoted(column.name)
    if column.kind in _TEXTS:
        # Numbers sort before texts, and those before bytes.
        text = f"{name} > '' COLLATE BINARY AND {name} < x'' COLLATE BINARY"
        return f"CASE WHEN {text} THEN {name} WHEN {name} IS NULL THEN '' END"
    if column.kind is Kind.INTEGER:
        whole = f"CAST({name} AS INTEGER)"
        return f"CASE WHEN {name} = {whole} THEN {whole} WHEN {name} IS NULL THEN '' END"
    if column.kind is Kind.BOOLEAN:
        return f"CASE {name} WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE CASE WHEN {name} IS NULL THEN '' END END"
    if column.kind is Kind.BYTES:
        return (
            f"CASE typeof({name}) WHEN 'blob' THEN CASE WHEN {name} <> x'' THEN lower(hex({name})) END"
            " WHEN 'null' THEN '' END"
        )
    return _decimal(name, column.scale or 0)


def in_cell(column: Column, dialect: CsvDialect) -> str:
    """The SQL of a text, as bytes, with an enclosure where it needs one."""
    name, enclosure = quoted(column.name), literal(dialect.enclosure)
    value = _without_breaks(name, dialect.line_break_in(column.kind))
    escaped = value
    if dialect.escape != dialect.enclosure:
        escaped = f"replace({value}, {literal(dialect.escape)}, {literal(dialect.escape * 2)})"
    escaped = f"replace({escaped}, {enclosure}, {literal(dialect.escape + dialect.enclosure)})"
    enclosed = f"{enclosure} || {escaped} || {enclosure}"
    if not dialect.encloses(column.kind):
        # To look for one character takes GLOB a fraction of what any other function needs.
        breaks = "\r\n" if dialect.line_break is None else ""
        found = (f"{value} GLOB {literal(_holding(each))}" for each in dialect.separator + breaks)
        enclosed = (
            f"CASE WHEN {value} GLOB {literal(_holding(dialect.enclosure))} THEN {enclosed}"
            f" WHEN {' OR '.join(found)} OR {name} = '' COLLATE BINARY"
            f" THEN {enclosure} || {value} || {enclosure} ELSE {value} END"
        )
    return f"CAST(CASE typeof({name}) WHEN 'text' THEN {enclosed} WHEN 'null' THEN '' END AS BLOB)"


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _decimal(name: str, scale: int) -> str:
    """The nearest number to a decimal of the scale: the division is exact, so it tells."""
    one, most = 10.0**scale, 10.0 ** (_SURE_DIGITS - scale)
    zeros = literal("." + "0" * scale if scale else "")
    nearest = f"abs({name}) < {most} AND CAST(round({name} * {one}) AS INTEGER) / {one} = {name}"
    return (
        f"CASE typeof({name}) WHEN 'real' THEN CASE WHEN {nearest} THEN printf('%.{scale}f', {name}) END"
        f" WHEN 'integer' THEN {name} || {zeros} WHEN 'null' THEN '' END"
    )


def _without_breaks(name: str, replacement: str | None) -> str:
    if replacement is None:
        return name
    value = name
    for found in ("\r\n", "\r", "\n"):
        value = f"replace({value}, {literal(found)}, {literal(replacement)})"
    return value


def _holding(character: str) -> str:
    """A pattern of texts that hold a character."""
    return f"*[{character}]*" if character in "*?[" else f"*{character}*"
