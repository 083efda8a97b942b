"""Whole tables of SQLite: it writes most of each line itself, Python touches few values (design §8)."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from outfeed.formats.csv_rows import RowEncoder
from outfeed.sources.sqlite_cells import Way, first_way, in_cell, in_line, literal, next_way
from outfeed.sources.sqlite_fast import fast_cells
from outfeed.sources.sqlite_values import conversion
from outfeed.sources.tables import TableCopy, quoted

#: Of a block, as far as its rows are not long.
_ROWS = 500
_BYTES = 1 << 20

#: Rows behind a rowid, up to another one.
Range = tuple[float, float]

#: Takes the lines of some rows.
Write = Callable[[int, bytes], None]

EVERYTHING: Range = (float("-inf"), float("inf"))


@dataclasses.dataclass(frozen=True)
class _Statement:
    """What SQLite is asked for: the number of each row, its line without some values, and these.

    Attributes:
        apart: places of the columns whose values are not in the line.
    """

    text: str
    apart: tuple[int, ...]


class LineCopy:
    """Guarantees the bytes that `RowEncoder` would write, in the order of the rowids (VI-C01, VI-C14).

    What SQLite can't write, or not surely as Python would, makes its line NULL or shows when the lines are
    counted: such a block is written again by `RowEncoder`, and the columns that were to blame go another way
    from then on.
    """

    def __init__(self, connection: sqlite3.Connection, copy: TableCopy) -> None:
        self._connection = connection
        self._copy = copy
        self._encoder = RowEncoder(copy.columns, copy.dialect)
        self._convert = [conversion(column, copy.dialect.date) for column in copy.columns]
        self._fast = [fast_cells(column, copy.dialect) for column in copy.columns]
        alone = len(copy.columns) == 1
        self._ways = [first_way(column, copy.dialect, alone=alone) for column in copy.columns]
        special = copy.dialect.separator + copy.dialect.enclosure + copy.dialect.escape
        #: Stands in a line for a value that is not in it.
        self._mark = next(each for each in "\x1f\x1e\x1d\x1c" if each not in special)
        self._names = ", ".join(quoted(column.name) for column in copy.columns)
        self._from = f"FROM {quoted(copy.table)}"
        self._rows = 0

    def write(self, rows: Range, write: Write) -> int:
        """Writes the rows of a range; returns their number."""
        self._rows = 0
        after, end = rows
        while (last := self._write_after(after, end, write)) is not None:
            after = last
        return self._rows

    def _write_after(self, after: float, end: float, write: Write) -> int | None:
        """Writes rows until a column must go another way, and gives the last of them; None after the end."""
        statement = self._statement()
        size = _ROWS
        cursor = self._connection.execute(statement.text, [after, end])
        while found := cursor.fetchmany(size):
            block = self._block(statement, found)
            last, changed = found[-1][0], False
            if block is None:
                block, changed = self._encoded((found[0][0], last))
            self._rows += len(found)
            write(len(found), block)
            if changed:
                return int(last)
            size = min(_ROWS, max(1, _BYTES * len(found) // len(block)))
        return None

    def _statement(self) -> _Statement:
        """The statement for the ways that the columns go now."""
        line, apart, texts = [""], [], []
        for index, (column, way) in enumerate(zip(self._copy.columns, self._ways, strict=True)):
            if index:
                line[-1] += self._copy.dialect.separator
            if way is Way.LINE:
                line += [in_line(column, self._copy.dialect), ""]
                continue
            name = quoted(column.name)
            line[-1] += self._mark
            apart.append(index)
            texts.append(in_cell(column, self._copy.dialect) if way is Way.CELL else name)
        line[-1] += self._copy.dialect.line_end.decode()
        pieces = [part if at % 2 else literal(part) for at, part in enumerate(line) if at % 2 or part]
        wanted = ", ".join(["_rowid_", f"CAST({' || '.join(pieces)} AS BLOB)", *texts])
        return _Statement(
            f"SELECT {wanted} {self._from} WHERE _rowid_ > ? AND _rowid_ <= ? ORDER BY _rowid_", tuple(apart)
        )

    def _block(self, statement: _Statement, rows: Sequence[tuple[Any, ...]]) -> bytes | None:
        """The lines of some rows; None if they need more care."""
        _, lines, *apart = zip(*rows, strict=True)
        if None in lines:
            return None
        joined = b"".join(lines)
        if not self._is_plain(joined, len(rows), len(apart)):
            return None
        pieces = joined.split(self._mark.encode())
        filled = [b""] * (len(pieces) + len(rows) * len(apart))
        filled[::2] = pieces
        for position, (index, values) in enumerate(zip(statement.apart, apart, strict=True)):
            cells = self._cells(index, values) if self._ways[index] is Way.PYTHON else values
            if None in cells:
                return None
            filled[1 + 2 * position :: 2 * len(apart)] = cells
        block = b"".join(filled)
        return block if _is_utf8(block) else None

    def _cells(self, index: int, values: Sequence[Any]) -> Sequence[bytes]:
        """What the file holds for values that SQLite gave as they are."""
        cells = self._fast[index](values)
        if cells is None:
            cells = self._encoder.cells(index, self._convert[index](values))
        return tuple(map(str.encode, cells))

    def _is_plain(self, lines: bytes, rows: int, apart: int) -> bool:
        """Whether no value in the lines needs an enclosure, or holds what SQLite might have cut off."""
        dialect = self._copy.dialect
        breaks = dialect.line_end.count
        unwanted = {dialect.enclosure, dialect.escape, "\x00"} - {dialect.separator}
        return (
            lines.count(dialect.separator.encode()) == rows * (len(self._copy.columns) - 1)
            and lines.count(self._mark.encode()) == rows * apart
            and all(lines.count(each) == rows * breaks(each) for each in (b"\r", b"\n"))
            and not any(each.encode() in lines for each in unwanted)
        )

    def _encoded(self, bounds: tuple[int, int]) -> tuple[bytes, bool]:
        """The lines of a block, value by value; and whether a column goes another way from now on."""
        within = f"{self._from} WHERE _rowid_ BETWEEN ? AND ?"
        rows = self._connection.execute(f"SELECT {self._names} {within} ORDER BY _rowid_", bounds).fetchall()
        columns = list(zip(*rows, strict=True))
        cells = [
            self._encoder.cells(index, convert(values))
            for index, (convert, values) in enumerate(zip(self._convert, columns, strict=True))
        ]
        changed = False
        for index, way in enumerate(self._ways):
            if way is Way.PYTHON or not self._failed(index, way, bounds, cells[index]):
                continue
            self._ways[index] = next_way(self._copy.columns[index], way)
            changed = True
        return self._encoder.lines(cells), changed

    def _failed(self, index: int, way: Way, bounds: tuple[int, int], cells: Sequence[str]) -> bool:
        """Whether it was a column's fault that a block had to be written again."""
        column, dialect = self._copy.columns[index], self._copy.dialect
        if way is Way.LINE and any(cell.startswith(dialect.enclosure) for cell in cells):
            return True
        value = in_line(column, dialect) if way is Way.LINE else in_cell(column, dialect)
        counted = f"SELECT count({value}) {self._from} WHERE _rowid_ BETWEEN ? AND ?"
        ((found,),) = self._connection.execute(counted, bounds).fetchall()
        return bool(found < len(cells))


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
