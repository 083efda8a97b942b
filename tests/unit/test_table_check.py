"""The check finds what is wrong with a file, says where, and never what the data is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import tracemalloc
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow
import pytest
from hypothesis import given

from outfeed.errors import TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.java_date import JavaDatePattern
from outfeed.formats.table_check import TableCounts, check_csv
from tests.hostile_texts import DIALECTS, HOSTILE_ROWS, Row, dialects, rows, text_columns

INSTANT = dt.datetime(2018, 1, 9, 14, 56, 13, 5, tzinfo=dt.UTC)
COLUMNS = [Column(kind.value, kind, *((10, 2) if kind == Kind.DECIMAL else ())) for kind in Kind]
VALUES: dict[Kind, list[Any]] = {
    Kind.TEXT: ["a, b", "", "x\r\ny"],
    Kind.INTEGER: [0, 2**63 - 1, -(2**63)],
    Kind.DECIMAL: [Decimal("1.5"), Decimal("-12345678.99"), Decimal("NaN")],
    Kind.FLOAT: [1.5, float("inf"), 1e-300],
    Kind.BOOLEAN: [True, False, True],
    Kind.INSTANT: [INSTANT, "infinity", "0044-03-15 00:00:00+00 BC"],
    Kind.LOCAL: [INSTANT.replace(tzinfo=None), "-infinity", "10000-01-01 00:00:00"],
    Kind.DATE: [dt.date(99, 1, 2), "infinity", "0044-03-15 BC"],
    Kind.TIME: [dt.time(1, 2, 3, 4), dt.timedelta(hours=-800), "24:00:00"],
    Kind.JSON: ['{"a":\n1}', "null", {"b": "é"}],
    Kind.UUID: [UUID(int=1), UUID(int=2), UUID(int=3)],
    Kind.BYTES: [b"", b"\x00\xff", b"abc"],
}
ROWS = [*zip(*(VALUES[column.kind] for column in COLUMNS), strict=True), (None,) * len(COLUMNS)]
PATTERNS = ["yyyy-MM-dd'T'HH:mm:ssZ", "d.M.yy h:mm:ss.SSS a", "EEEE, MMMM d, yyyy", "yyyy,MM"]


def file_of(columns: list[Column], rows: Iterable[Any], dialect: CsvDialect) -> bytes:
    return dialect.header_line(columns) + RowEncoder(columns, dialect).encode(rows)


def checked(data: bytes, columns: list[Column], dialect: CsvDialect) -> TableCounts:
    stream = io.BytesIO(data)
    counts = check_csv(stream, columns, dialect)
    assert not stream.closed
    assert stream.read() == b""
    return counts


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dialect", DIALECTS[::7])
def test_every_kind_of_value_passes(dialect: CsvDialect, pattern: str) -> None:
    # VI-C01 VI-C07
    dialect = dataclasses.replace(dialect, date=JavaDatePattern.parse(pattern))
    counts = checked(file_of(COLUMNS, ROWS, dialect), COLUMNS, dialect)
    assert counts.rows == 4
    assert counts.nulls == (1,) * len(COLUMNS)
    empty = {column.name: count for column, count in zip(COLUMNS, counts.empty, strict=True) if count}
    assert empty == {"text": 1, "bytes": 1}


@given(rows(3), dialects)
def test_null_and_empty_text_are_told_apart(rows: list[Row], dialect: CsvDialect) -> None:
    # VI-C01
    columns = text_columns(3)
    counts = checked(file_of(columns, rows, dialect), columns, dialect)
    assert counts.rows == len(rows)
    assert counts.nulls == tuple(sum(row[index] is None for row in rows) for index in range(3))
    assert counts.empty == tuple(sum(row[index] == "" for row in rows) for index in range(3))


@pytest.mark.parametrize("header", [True, False])
def test_a_table_without_rows(header: bool) -> None:
    # VI-C02
    dialect = CsvDialect(header=header)
    assert checked(dialect.header_line(COLUMNS), COLUMNS, dialect).rows == 0


def test_a_table_of_one_column_of_nulls() -> None:
    columns, dialect = text_columns(1), CsvDialect()
    data = file_of(columns, [(None,), ("",), ("a",), (None,)], dialect)
    assert checked(data, columns, dialect) == TableCounts(4, (2,), (1,))


TWO = [Column("id", Kind.INTEGER), Column("name", Kind.TEXT)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"id,name\r\n1,a\r\n2\r\n", "row 2 of the file has 1 values instead of 2"),
        (b"id,name\r\n1,a\r\n2,secret,c\r\n", "row 2 of the file has 3 values instead of 2"),
        (b"id,name\r\n1,a\r\n2,b\r\nsecret,c\r\n", "row 3 of the file, column id: the value is no integer"),
        (b'id,name\r\n"",a\r\n', "row 1 of the file, column id"),
        (b"id,name\r\n1,secret\xff\r\n", "row 1 of the file, column name"),
        (b"id;name\r\n1;secret\r\n", "header"),
        (b"id\r\n1,secret\r\n", "header"),
        (b"", "header"),
        (b'id,name\r\n1,"secret\r\n', "ends in the middle of a row"),
        (b'id,name\r\n1,"secret', "ends in the middle of a row"),
        (b"id,name\r\n1,secret", "ends in the middle of a row"),
        (b"id,name\r\n1,secret\n", "ends in the middle of a row"),
    ],
)
def test_what_is_wrong_is_said_without_the_data(data: bytes, message: str) -> None:
    # VI-C01 VI-C02
    with pytest.raises(TerminalError, match=message) as caught:
        check_csv(io.BytesIO(data), TWO, CsvDialect())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.INSTANT, "2018-01-09T14:56:13"),
        (Kind.INSTANT, "yesterday"),
        (Kind.LOCAL, "2018-01-09 14:56:13+0000"),
        (Kind.DATE, "2018-01-09T00:00:00+0000"),
        (Kind.TIME, "1:2"),
        (Kind.DECIMAL, "1,5"),
        (Kind.DECIMAL, "1.234"),
        (Kind.DECIMAL, "1e5"),
        (Kind.DECIMAL, "123456789.00"),
        (Kind.FLOAT, "1.5x"),
        (Kind.INTEGER, "1.0"),
        (Kind.BOOLEAN, "yes"),
        (Kind.UUID, "1234"),
        (Kind.BYTES, "abc"),
        (Kind.BYTES, "\\xab"),
        (Kind.UUID, ""),
        (Kind.INSTANT, ""),
    ],
)
def test_a_value_of_another_type_is_found(kind: Kind, text: str) -> None:
    # VI-C07
    columns = [Column("id", Kind.INTEGER), *(column for column in COLUMNS if column.kind == kind)]
    good = VALUES[kind][0]
    data = file_of(columns, [(1, good), (2, None), (3, text), (4, good)], CsvDialect())
    with pytest.raises(TerminalError, match=f"row 3 of the file, column {kind}: the value is no {kind}"):
        check_csv(io.BytesIO(data), columns, CsvDialect())


def test_an_empty_line_counts_as_a_row() -> None:
    assert checked(b"id,name\r\n\r\n1,a\r\n", TWO, CsvDialect()).rows == 2


def test_a_row_of_many_megabytes_is_read() -> None:
    text = "é\r\n" * (4 << 20)
    data = file_of(TWO, [(1, "a"), (2, text), (3, text), (4, None)], CsvDialect())
    assert checked(data, TWO, CsvDialect()).rows == 4


class Repeated(io.RawIOBase):
    """A big file, made while it is read."""

    def __init__(self, block: bytes, times: int, end: bytes) -> None:
        self._blocks = iter([block] * times + [end])
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._blocks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def test_a_fault_far_behind_is_found_at_its_row_with_bounded_memory() -> None:
    # VI-C01
    columns = text_columns(4)
    dialect = CsvDialect(header=False)
    block = RowEncoder(columns, dialect).encode(HOSTILE_ROWS * 30)
    stream = Repeated(block, 150, b"1,2,3\r\n")
    count = 150 * 30 * len(HOSTILE_ROWS)
    before = pyarrow.default_memory_pool().max_memory()
    tracemalloc.start()
    with pytest.raises(TerminalError, match=f"row {count + 1} of the file has 3 values"):
        check_csv(stream, columns, dialect)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(block) * 150 > 100e6
    assert peak + pyarrow.default_memory_pool().max_memory() - before < 64e6


def test_of_several_faults_the_first_is_named() -> None:
    # VI-C01
    """Pieces are parsed at the same time; which one ends first must not matter."""
    columns = text_columns(4)
    dialect = CsvDialect(header=False)
    good = RowEncoder(columns, dialect).encode(HOSTILE_ROWS * 30)
    count = 20 * 30 * len(HOSTILE_ROWS)
    data = good * 20 + b"1,2,3\r\n" + good + b"1,2\r\n" * 2_000_000
    for _ in range(3):
        with pytest.raises(TerminalError, match=f"row {count + 1} of the file has 3 values"):
            check_csv(io.BytesIO(data), columns, dialect)
