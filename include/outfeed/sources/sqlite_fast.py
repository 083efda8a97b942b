"""Cells of columns that need Python but no look at each value; None says that the values do need it."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources.date_texts import DateRewriter
from outfeed.sources.sqlite_values import DATES

#: All cells of a column, or None.
Fast = Callable[[Sequence[Any]], Sequence[str] | None]

_UNIT = "\x1f"
_NUMBERS = frozenset((float, int, type(None)))
_PLAIN = frozenset(string.digits + string.ascii_letters + "+-. :")


def fast_cells(column: Column, dialect: CsvDialect) -> Fast:
    """Guarantees the cells that `RowEncoder` would give, where it gives any (VI-C07, VI-C14)."""
    special = {dialect.separator, dialect.enclosure, dialect.escape}
    if special & _PLAIN:
        return _none
    if column.kind in DATES:
        rewriter = DateRewriter.of(dialect.date)
        if rewriter is None or special & {*rewriter.iso.separator, *rewriter.iso.ending}:
            return _none
        return lambda values: _dates(rewriter, values)
    if column.kind is Kind.FLOAT or (column.kind is Kind.DECIMAL and column.scale is None):
        return _numbers
    return _none


def _none(_values: Sequence[Any]) -> None:
    return


def _dates(rewriter: DateRewriter, values: Sequence[Any]) -> list[str] | None:
    found = rewriter.rewritten(values)
    return None if found is None else [value or "" for value in found]


def _numbers(values: Sequence[Any]) -> list[str] | None:
    """The shortest texts that read back as the same numbers."""
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    joined = (_UNIT.join(map(repr, values)) + _UNIT).replace(f".0{_UNIT}", _UNIT).replace("None", "")
    # Of `inf` and `nan`.
    return None if "n" in joined else joined[:-1].split(_UNIT)
