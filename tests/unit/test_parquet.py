"""Parquet holds the source's types; DuckDB reads back every value."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from outfeed.errors import TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.parquet import NEUTRAL, write_parquet
from outfeed.formats.table_check import check_parquet
from tests.hostile_texts import Row, rows, text_columns

INSTANT = dt.datetime(2018, 1, 9, 14, 56, 13, 123_456, tzinfo=dt.UTC)
LOCAL = INSTANT.replace(tzinfo=None)
PARIS = dt.timezone(dt.timedelta(hours=2))

COLUMNS = [
    Column("id", Kind.INTEGER),
    Column("a name", Kind.TEXT),
    Column("price", Kind.DECIMAL, 10, 2),
    Column("wide", Kind.DECIMAL, 50, 5),
    Column("unbounded", Kind.DECIMAL),
    Column("ratio", Kind.FLOAT),
    Column("active", Kind.BOOLEAN),
    Column("created", Kind.INSTANT),
    Column("updated", Kind.LOCAL),
    Column("day", Kind.DATE),
    Column("hour", Kind.TIME),
    Column("data", Kind.JSON),
    Column("key", Kind.UUID),
    Column("hash", Kind.BYTES),
]
TYPES = [
    *("BIGINT", "VARCHAR", "DECIMAL(10,2)", "DOUBLE", "VARCHAR", "DOUBLE", "BOOLEAN"),
    *("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE", "TIME", "VARCHAR", "VARCHAR", "BLOB"),
]
ROWS: list[tuple[Any, ...]] = [
    (
        *(-(2**63), 'a\r\n,"b" ', Decimal("-12345678.90"), Decimal("1.25"), Decimal("1E+50"), 0.1, True),
        *(INSTANT.astimezone(PARIS), LOCAL, dt.date(99, 12, 31), dt.time(23, 59, 59, 999_999)),
        *('{"a": 1}', UUID(int=7), b"\x00\xff"),
    ),
    (
        *(0, "", Decimal(0), Decimal("-0.5"), Decimal("NaN"), -1.5e300, False),
        *(INSTANT, dt.datetime(9999, 12, 31, 23, 59, 59), dt.date(2020, 2, 29), dt.time(0)),  # noqa: DTZ001
        *({"é": ["x"]}, UUID(int=8), b""),
    ),
    (None,) * len(COLUMNS),
]


class Sink:
    """Takes bytes and can do nothing else, like a stream to an object store."""

    closed = False

    def __init__(self) -> None:
        self.data = b""

    def write(self, block: Any) -> int:
        self.data += bytes(block)
        return len(block)

    def flush(self) -> None:
        pass


def parquet_of(columns: list[Column], rows: list[Any]) -> bytes:
    sink = Sink()
    csv = io.BytesIO(RowEncoder(columns, NEUTRAL).encode(rows))
    assert write_parquet(csv, columns, sink) == len(rows)  # type: ignore[arg-type]
    assert not csv.closed
    return sink.data


def read_back(path: Path, data: bytes) -> tuple[list[str], list[tuple[Any, ...]]]:
    path.write_bytes(data)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(f"SELECT * FROM '{path}'")
        return [str(each) for each in relation.types], relation.fetchall()


def test_types_and_values_read_back(tmp_path: Path) -> None:
    data = parquet_of(COLUMNS, ROWS)
    types, found = read_back(tmp_path / "file.parquet", data)
    assert types == TYPES
    first, second, nulls = (dict(zip([c.name for c in COLUMNS], row, strict=True)) for row in found)
    expected = dict(zip([c.name for c in COLUMNS], ROWS[0], strict=True))
    assert first == expected | {"wide": 1.25, "unbounded": "1" + "0" * 50, "key": str(UUID(int=7))}
    assert first["created"].astimezone(dt.UTC) == INSTANT
    assert second["a name"] == ""
    assert second["hash"] == b""
    assert second["unbounded"] == "NaN"
    assert second["updated"] == ROWS[1][8]
    assert second["data"] == '{"é": ["x"]}'
    assert set(nulls.values()) == {None}


def test_the_check_counts_what_was_written() -> None:
    counts = check_parquet(io.BytesIO(parquet_of(COLUMNS, ROWS)), COLUMNS)
    assert counts.rows == 3
    assert counts.nulls == (1,) * len(COLUMNS)
    assert counts.empty[1] == 1


def test_a_table_without_rows(tmp_path: Path) -> None:
    data = parquet_of(COLUMNS, [])
    assert read_back(tmp_path / "file.parquet", data) == (TYPES, [])
    assert check_parquet(io.BytesIO(data), COLUMNS).rows == 0


def test_same_rows_give_same_bytes() -> None:
    many = [(index, f"name {index}", *ROWS[0][2:]) for index in range(40_000)]
    data = parquet_of(COLUMNS, many)
    assert parquet_of(COLUMNS, many) == data
    assert check_parquet(io.BytesIO(data), COLUMNS).rows == len(many)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(3))
def test_hostile_texts_read_back(tmp_path: Path, rows: list[Row]) -> None:
    _, found = read_back(tmp_path / "file.parquet", parquet_of(text_columns(3), rows))
    assert found == rows


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("x", Kind.INSTANT), "infinity"),
        (Column("x", Kind.LOCAL), "0044-03-15 00:00:00 BC"),
        (Column("x", Kind.DATE), "10000-01-01"),
        (Column("x", Kind.DECIMAL, 10, 2), "NaN"),
        (Column("x", Kind.DECIMAL, 50, 2), "NaN"),
        (Column("x", Kind.TIME), "24:00:00"),
        (Column("x", Kind.BYTES), "xyz"),
    ],
)
def test_what_parquet_can_not_hold_is_an_error(column: Column, value: str) -> None:
    columns = [Column("id", Kind.INTEGER), column]
    data = RowEncoder(columns, NEUTRAL).encode([(1, None), (2, value)])
    with pytest.raises(TerminalError, match=f"row 2 of the file, column x: the value is no {column.kind}"):
        write_parquet(io.BytesIO(data), columns, io.BytesIO())


@pytest.mark.parametrize(
    "change",
    [
        lambda columns: columns[:-1],
        lambda columns: [*columns[:-1], Column("hash", Kind.TEXT)],
        lambda columns: [*columns[:-1], Column("other", Kind.BYTES)],
        lambda columns: [columns[1], columns[0], *columns[2:]],
    ],
)
def test_other_columns_are_an_error(change: Any) -> None:
    data = parquet_of(COLUMNS, ROWS)
    with pytest.raises(TerminalError, match="column"):
        check_parquet(io.BytesIO(data), change(COLUMNS))


def test_damage_is_an_error() -> None:
    columns = text_columns(1)
    data = bytearray(parquet_of(columns, [(f"text number {index}",) for index in range(1000)]))
    for position in (200, 1000, 1500, 1994, len(data) - 6, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        with pytest.raises(TerminalError, match="can't be read"):
            check_parquet(io.BytesIO(bytes(damaged)), columns)
    with pytest.raises(TerminalError, match="can't be read"):
        check_parquet(io.BytesIO(bytes(data[:-100])), columns)
