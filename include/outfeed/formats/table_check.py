"""An independent reader counts what a written file holds and checks its types (VI-C01, VI-C13)."""

from __future__ import annotations

import dataclasses
import operator
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from outfeed.errors import Action, TerminalError
from outfeed.formats.arrow_csv import PieceReader, pieces, wrong_value
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.parquet import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

#: Parse while another one reads and hashes.
_THREADS: Final = 2
#: Bytes parsed at once: what is parsed takes several times as much memory.
_PIECE: Final = 1 << 19

_PATTERNS: Final = {
    Kind.DATE: r"[0-9]{4,7}-[0-9]{2}-[0-9]{2}(?: BC)?|-?infinity",
    # MySQL's may be negative and longer than a day; PostgreSQL's may have an offset.
    Kind.TIME: r"-?[0-9]{2,3}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[+-][0-9]{2}(?::[0-9]{2}){0,2})?",
    Kind.UUID: r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    Kind.BYTES: r"(?:[0-9a-f]{2})*",
}


@dataclasses.dataclass(frozen=True)
class TableCounts:
    """What a file holds.

    Attributes:
        nulls: how many values of each column are NULL.
        empty: how many are an empty text.
    """

    rows: int
    nulls: tuple[int, ...]
    empty: tuple[int, ...]

    def __add__(self, other: TableCounts) -> TableCounts:
        """What two pieces of a file hold together."""
        sums = (
            tuple(map(operator.add, *each)) for each in ((self.nulls, other.nulls), (self.empty, other.empty))
        )
        return TableCounts(self.rows + other.rows, *sums)


def check_csv(stream: BinaryIO, columns: Sequence[Column], dialect: CsvDialect) -> TableCounts:
    """Guarantees that each row has a value of the right type for each column (VI-C01, VI-C07, VI-C13).

    Reads `stream` to its end with memory that does not grow with it, and leaves it open. The next pieces are
    parsed while one is read.

    Raises:
        TerminalError: header, row or value that is not as the columns and the dialect say; holds no data.
    """
    check = _PieceCheck(columns, dialect)
    total = TableCounts(0, (0,) * len(columns), (0,) * len(columns))
    waiting: deque[tuple[bytes, Future[TableCounts]]] = deque()
    with ThreadPoolExecutor(_THREADS, "csv-check") as pool:
        for piece in pieces(stream, columns, dialect, _PIECE):
            waiting.append((piece, pool.submit(check.counts, piece, 0)))
            if len(waiting) > _THREADS:
                total += _first(check, waiting, total.rows)
        while waiting:
            total += _first(check, waiting, total.rows)
    return total


def _first(check: _PieceCheck, waiting: deque[tuple[bytes, Future[TableCounts]]], before: int) -> TableCounts:
    piece, found = waiting.popleft()
    try:
        return found.result()
    except TerminalError:
        # Once more: only now it is known which row of the file is wrong.
        return check.counts(piece, before)


class _PieceCheck:
    """Checks pieces of a file, several at the same time."""

    def __init__(self, columns: Sequence[Column], dialect: CsvDialect) -> None:
        import pyarrow as pa

        read_as = {Kind.INTEGER: pa.int64(), Kind.FLOAT: pa.float64(), Kind.BOOLEAN: pa.bool_()}
        types = [read_as.get(column.kind, pa.string()) for column in columns]
        self._reader = PieceReader(columns, types, dialect)
        self._columns = columns
        self._patterns = [_pattern(column, dialect) for column in columns]

    def counts(self, piece: bytes, before: int) -> TableCounts:
        """What a piece holds; `before` as in `PieceReader.read`."""
        import pyarrow as pa

        table = self._reader.read(piece, before)
        nulls, empty = [], []
        for column, pattern, values in zip(self._columns, self._patterns, table.columns, strict=True):
            nulls.append(values.null_count)
            empty.append(_count_empty(values) if values.type == pa.string() else 0)
            if pattern is not None:
                _require_match(values, pattern, column, before)
        return TableCounts(table.num_rows, tuple(nulls), tuple(empty))


def check_parquet(stream: BinaryIO, columns: Sequence[Column]) -> TableCounts:
    """Guarantees that a Parquet file has the columns' names and types and that every page can be read.

    Args:
        stream: seekable; it is left open.

    Raises:
        TerminalError: it is no Parquet, is damaged, or has other columns.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows, nulls, empty = 0, [0] * len(columns), [0] * len(columns)
    try:
        file = parquet.ParquetFile(
            stream, page_checksum_verification=True, memory_map=False, pre_buffer=False
        )
        _require_schema(file.schema_arrow, columns)
        for batch in file.iter_batches(batch_size=65_536, use_threads=False):
            rows += batch.num_rows
            for index, values in enumerate(batch.columns):
                nulls[index] += values.null_count
                if values.type == pa.string():
                    empty[index] += _count_empty(values)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TerminalError(
            f"the Parquet file can't be read ({type(error).__name__})",
            action=Action.OPERATOR,
            remedy="clear the run from the task 'extract' on; if it happens again, check the staging storage",
        ) from None
    return TableCounts(rows, tuple(nulls), tuple(empty))


def _pattern(column: Column, dialect: CsvDialect) -> str | None:
    """What every value of a column must match as a whole; None if its type says it all."""
    if column.kind in (Kind.INSTANT, Kind.LOCAL):
        pattern = dialect.date.regex()
    elif column.kind == Kind.DECIMAL:
        pattern = _decimal_pattern(column)
    elif column.kind in _PATTERNS:
        pattern = _PATTERNS[column.kind]
    else:
        return None
    return f"^(?:{pattern})$"


def _decimal_pattern(column: Column) -> str:
    if column.precision is None:
        digits = r"[0-9]+(?:\.[0-9]+)?"
    else:
        scale = column.scale or 0
        fraction = rf"(?:\.[0-9]{{1,{scale}}})?" if scale > 0 else ""
        digits = rf"[0-9]{{1,{max(column.precision - scale, 1)}}}{fraction}"
    return rf"-?{digits}|NaN|-?Infinity"


def _count_empty(values: pa.Array | pa.ChunkedArray) -> int:
    from pyarrow import compute

    count: Any = compute.sum(compute.equal(compute.binary_length(values), 0)).as_py()
    return int(count or 0)


def _require_match(values: pa.ChunkedArray, pattern: str, column: Column, before: int) -> None:
    from pyarrow import compute

    matches = compute.match_substring_regex(values, pattern)
    if not compute.all(matches, min_count=0).as_py():
        raise wrong_value(column, before + compute.index(matches, False).as_py() + 1)


def _require_schema(found: pa.Schema, columns: Sequence[Column]) -> None:
    wanted = arrow_schema(columns)
    if found.names != wanted.names:
        raise TerminalError(
            "the Parquet file does not hold the columns that the source reported", action=Action.ENGINEER
        )
    for field, expected in zip(found, wanted, strict=True):
        if field.type != expected.type:
            raise TerminalError(
                f"column {field.name} of the Parquet file is {field.type} instead of {expected.type}",
                action=Action.ENGINEER,
            )
