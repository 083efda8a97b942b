"""What SQLite's columns hold: a declared type is a promise, a value's own type decides how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from outfeed.formats.columns import Column, Kind
from outfeed.formats.java_date import JavaDatePattern
from outfeed.sources.date_texts import DateTexts
from outfeed.sources.row_copy import Convert

DATES = frozenset((Kind.INSTANT, Kind.LOCAL))

#: Kinds by what a declared type begins with, in upper case; anything else is text.
_KINDS = (
    (r"TIMESTAMPTZ|TIMESTAMP *(\(\d+\))? *WITH TIME ZONE", Kind.INSTANT),
    (r"TIMESTAMP|DATETIME", Kind.LOCAL),
    (r"DATE$", Kind.DATE),
    (r"TIME\b", Kind.TIME),
    (r"BOOL", Kind.BOOLEAN),
    (r"JSON", Kind.JSON),
    (r"UUID$", Kind.UUID),
    (r"DEC|NUMERIC|NUMBER", Kind.DECIMAL),
    (r"REAL|FLOA|DOUB", Kind.FLOAT),
    (r"(UNSIGNED BIG |\w*)INT", Kind.INTEGER),
    (r"BLOB|BYTEA|(VAR)?BINARY", Kind.BYTES),
)
_SIZE = re.compile(r"\( *(\d+) *(?:, *(\d+) *)?\)")

#: Types of values that `RowEncoder` writes in a column of a kind; the others become text first.
_NUMBERS = frozenset((int, float))
_AS_THEY_ARE: dict[Kind, frozenset[type]] = {
    **dict.fromkeys((Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.JSON), _NUMBERS),
    Kind.BOOLEAN: frozenset((int,)),
    Kind.BYTES: frozenset((bytes,)),
}


def column(name: str, declared: str) -> Column:
    """A column by its declared type."""
    declared = declared.strip().upper()
    kind = next((kind for begin, kind in _KINDS if re.match(begin, declared)), Kind.TEXT)
    size = _SIZE.search(declared)
    if kind is not Kind.DECIMAL or size is None:
        return Column(name, kind)
    return Column(name, kind, int(size[1]), int(size[2] or 0))


def conversion(column: Column, pattern: JavaDatePattern) -> Convert:
    """What a column's values need before they are encoded."""
    allowed = _AS_THEY_ARE.get(column.kind, frozenset()) | {str, type(None)}
    dates = DateTexts(pattern) if column.kind in DATES else None

    def convert(values: Sequence[Any]) -> Sequence[Any]:
        if not allowed.issuperset(map(type, values)):
            values = [value if type(value) in allowed else _text(value) for value in values]
        if dates is not None:
            return dates(values)
        if column.scale is not None:
            return list(map(_scaled(column.scale), values))
        return values

    return convert


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _scaled(scale: int) -> Callable[[Any], Any]:
    """Writes a decimal with all digits of its scale, as other engines do, unless it has more."""
    template, zeros = f"%.{scale}f", "." + "0" * scale if scale else ""

    def scaled(value: Any) -> Any:
        if type(value) is float:
            text = template % value
            return text if float(text) == value else value
        return f"{value}{zeros}" if type(value) is int else value

    return scaled
