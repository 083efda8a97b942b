"""Whole tables of SQLite, a column at a time for thousands of rows: Python touches few objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, ClassVar

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.sources.date_texts import DateRewriter
from outfeed.sources.row_copy import TableWriter
from outfeed.sources.sqlite_values import DATES, conversion
from outfeed.sources.tables import TableCopy, quoted

_ROWS = 8000

#: Stand between joined values, and for NULL; a batch with a value that holds one of them is fetched.
UNIT, NOTHING = "\x1f", "\x1e"
_UNIT_BYTE, _NOTHING_BYTE = UNIT.encode(), NOTHING.encode()

#: Beyond, a number with a point has no decimal form of its own.
_SURE_DIGITS = 15
#: The fraction of any number from 0.001 on is a whole number of these.
_FRACTION = 2**62

#: What the rowids of a batch follow, and the last of them.
_Bounds = tuple[float, int]


class ColumnCopy:
    """Writes a table in the order of its rowids.

    SQLite joins the values of each column for a batch of rows, while Python works on the batch before: to
    split such a text is far cheaper than to fetch each value. What this could garble is fetched: columns of a
    batch in which a value has another type than the column, or holds what stands between values.
    """

    def __init__(self, connection: sqlite3.Connection, copy: TableCopy) -> None:
        self._connection = connection
        self._columns = copy.columns
        self._encoder = RowEncoder(copy.columns, copy.dialect)
        self._convert = [conversion(column, copy.dialect.date) for column in copy.columns]
        self._range = f"FROM {quoted(copy.table)} WHERE _rowid_ > ? AND _rowid_ <= ?"
        found = [_joined(index, column, self._encoder, copy) for index, column in enumerate(copy.columns)]
        self._joined = [joined for joined in found if joined is not None]
        values = [sql for joined in self._joined for sql in joined.sql]
        self._join = f"SELECT {', '.join(['count(*)', *values])} {self._range}"
        self._next = (
            f"SELECT max(r) FROM (SELECT _rowid_ AS r FROM {quoted(copy.table)} WHERE _rowid_ > ?"
            f" ORDER BY _rowid_ LIMIT {_ROWS})"
        )

    def write(self, writer: TableWriter) -> None:
        """Writes all rows."""
        with ThreadPoolExecutor(1, "sqlite") as worker:
            batch = self._batch(float("-inf"))
            while batch is not None:
                bounds, (count, *values) = batch
                ahead = worker.submit(self._batch, bounds[1])
                cells: list[Sequence[str] | None] = [None] * len(self._columns)
                found = iter(values)
                for joined in self._joined:
                    cells[joined.index] = joined.cells(list(islice(found, len(joined.sql))), count)
                missing = [index for index, column in enumerate(cells) if column is None]
                # One statement at a time.
                batch = ahead.result() if missing else None
                for index, column in self._fetched(missing, bounds):
                    cells[index] = column
                writer.write(count, self._encoder.lines([column for column in cells if column is not None]))
                batch = batch or ahead.result()
        writer.flush()

    def _batch(self, after: float) -> tuple[_Bounds, list[Any]] | None:
        """The next rows; None if there are no more."""
        ((last,),) = self._connection.execute(self._next, [after]).fetchall()
        if last is None:
            return None
        (row,) = self._connection.execute(self._join, [after, last]).fetchall()
        return (after, last), row

    def _fetched(self, missing: Sequence[int], bounds: _Bounds) -> Iterator[tuple[int, Sequence[str]]]:
        """Columns, each value by itself."""
        if missing:
            names = ", ".join(quoted(self._columns[index].name) for index in missing)
            rows = self._connection.execute(
                f"SELECT {names} {self._range} ORDER BY _rowid_", bounds
            ).fetchall()
            for index, values in zip(missing, zip(*rows, strict=True), strict=True):
                yield index, self._encoder.cells(index, self._convert[index](values))


def _joined(index: int, column: Column, encoder: RowEncoder, copy: TableCopy) -> _Joined | None:
    """How SQLite joins a column; None if it can't."""
    if column.kind is Kind.BYTES or (column.kind is Kind.DECIMAL and not column.scale):
        return None
    kinds: dict[Kind, type[_Joined]] = {
        Kind.INTEGER: _Integers,
        Kind.BOOLEAN: _Booleans,
        Kind.DECIMAL: _Decimals,
        Kind.FLOAT: _Floats,
        **dict.fromkeys(DATES, _Dates),
    }
    return kinds.get(column.kind, _Joined)(index, column, encoder, copy)


class _Joined:
    """A column whose values SQLite joins: how, and what the file holds for them."""

    #: Of `{0}`, the column: its texts where it is not null, and whether the batch must be fetched. Numbers
    #: sort before texts, and those before bytes.
    values: ClassVar[tuple[str, ...]] = ("{0}",)
    fetch: ClassVar[str] = "{0} < '' COLLATE BINARY OR {0} >= x'' COLLATE BINARY"

    def __init__(self, index: int, column: Column, encoder: RowEncoder, copy: TableCopy) -> None:
        self.index = index
        self._encoder = encoder
        self._dialect = copy.dialect
        self._marks = _Marks(copy.dialect)
        self._each = (
            copy.dialect.encloses(column.kind)
            or (copy.dialect.formula_guard and column.kind is Kind.TEXT)
            or len(copy.columns) == 1
        )
        name, scale = quoted(column.name), column.scale or 0
        form = {"one": 10.0**scale, "scale": scale, "most": 10.0 ** (_SURE_DIGITS - scale)}
        joined = (f"ifnull({value.format(name, **form)}, '{NOTHING}')" for value in self.values)
        #: What of each batch `cells` needs.
        self.sql = (
            f"max({self.fetch.format(name, **form)})",
            f"count({name})",
            *(f"CAST(group_concat({value}, '{UNIT}') AS BLOB)" for value in joined),
        )

    def cells(self, found: Sequence[Any], count: int) -> Sequence[str] | None:
        """The values of a batch as they stand in the file; None if they must be fetched."""
        odd, filled, *joined = found
        if odd:
            return None
        for each in joined:
            if each.count(_UNIT_BYTE) != count - 1 or each.count(_NOTHING_BYTE) != count - filled:
                return None
        try:
            return self._cells(joined, count)
        except UnicodeDecodeError:
            return None

    def _cells(self, joined: Sequence[bytes], count: int) -> Sequence[str] | None:
        return self._encoded(joined[0].decode())

    def _encoded(self, text: str) -> Sequence[str]:
        """The values with enclosures where they need one."""
        if self._each:
            return self._encoder.cells(
                self.index, [None if value == NOTHING else value for value in text.split(UNIT)]
            )
        cells = self._marks.filled(text).split(UNIT)
        needy = self._marks.needy(text)
        if needy:
            values = text.split(UNIT)
            for position, cell in zip(needy, self._enclosed([values[at] for at in needy]), strict=True):
                cells[position] = cell
        return cells

    def _enclosed(self, values: Sequence[str]) -> list[str]:
        if self._dialect.line_break is None:
            return list(map(self._dialect.enclosed, values))
        # Without its line break, a value may need none.
        return self._encoder.cells(self.index, values)


class _Marks:
    """Finds the values that need an enclosure among joined ones, without looking at each."""

    def __init__(self, dialect: CsvDialect) -> None:
        self._specials = {dialect.separator, dialect.enclosure, dialect.escape, "\r", "\n"}
        self._empty = f"{UNIT}{dialect.enclosed('')}{UNIT}"

    def filled(self, text: str) -> str:
        """Nothing for NULL, two enclosures for the empty text."""
        if UNIT + UNIT in text or text.startswith(UNIT) or text.endswith(UNIT) or not text:
            pair, put = UNIT + UNIT, self._empty
            # Twice, because neighbours share a separator.
            text = f"{UNIT}{text}{UNIT}".replace(pair, put).replace(pair, put)[1:-1]
        return text.replace(NOTHING, "")

    def needy(self, text: str) -> list[int]:
        """Positions of the values that hold a special character."""
        found: set[int] = set()
        for special in self._specials:
            position = seen = 0
            at = text.find(special)
            while at >= 0:
                position += text.count(UNIT, seen, at)
                found.add(position)
                # Once per value is enough.
                seen = text.find(UNIT, at)
                at = text.find(special, seen) if seen >= 0 else -1
        return sorted(found)


class _Integers(_Joined):
    """A number that isn't whole, `1.5` or `Inf`, is fetched."""

    fetch = "{0} >= x'' COLLATE BINARY"

    def _cells(self, joined: Sequence[bytes], count: int) -> Sequence[str] | None:
        return None if b"." in joined[0] or b"I" in joined[0] else super()._cells(joined, count)


class _Booleans(_Joined):
    """Nothing but 0 and 1."""

    fetch = "{0} NOT IN (0, 1)"


class _Decimals(_Joined):
    """Those that are the nearest number to a decimal of the scale: the division is exact, so it tells."""

    values = ("CASE WHEN {0} IS NOT NULL THEN printf('%.{scale}f', {0}) END",)
    fetch = "{0} >= '' OR abs({0}) >= {most} OR CAST(round({0} * {one}) AS INTEGER) / {one} <> {0}"


class _Floats(_Joined):
    """As two whole numbers, because SQL would round them; no text and no very small or large number."""

    values = ("CAST({0} AS INTEGER)", f"CAST(({{0}} - CAST({{0}} AS INTEGER)) * {_FRACTION}.0 AS INTEGER)")
    fetch = f"{{0}} >= '' OR {values[0]} + {values[1]} / {_FRACTION}.0 <> {{0}}"

    def _cells(self, joined: Sequence[bytes], count: int) -> Sequence[str] | None:
        wholes, fractions = (each.decode().split(UNIT) for each in joined)
        if _NOTHING_BYTE in joined[0]:
            numbers = [
                NOTHING if whole == NOTHING else repr(int(whole) + int(fraction) / _FRACTION)
                for whole, fraction in zip(wholes, fractions, strict=True)
            ]
        else:
            numbers = [
                repr(int(whole) + int(fraction) / _FRACTION)
                for whole, fraction in zip(wholes, fractions, strict=True)
            ]
        return self._encoded(f"{UNIT.join(numbers)}{UNIT}".replace(f".0{UNIT}", UNIT)[:-1])


class _Dates(_Joined):
    """Texts of one width are rewritten all at once."""

    def __init__(self, index: int, column: Column, encoder: RowEncoder, copy: TableCopy) -> None:
        super().__init__(index, column, encoder, copy)
        self._rewriter = None if self._each else DateRewriter.of(copy.dialect.date)

    def _cells(self, joined: Sequence[bytes], count: int) -> Sequence[str] | None:
        if self._rewriter is None:
            return None
        rewritten = self._rewriter.rewritten(joined[0], count)
        return None if rewritten is None else self._encoded(rewritten)
