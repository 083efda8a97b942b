"""Hostile text in every pair of options reads back unchanged in PostgreSQL, DuckDB and Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from outfeed.formats.columns import Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.line_ends import CrlfConverter
from tests.hostile_texts import (
    DIALECTS,
    HOSTILE_ROWS,
    Row,
    dialects,
    expected,
    read_by_python,
    rows,
    text_columns,
)
from tests.servers.postgres import PostgresServer

WIDTH = 4
COLUMNS = text_columns(WIDTH)


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.create_database("csv_conformance"), autocommit=True) as connection:
        for width in range(1, WIDTH + 1):
            columns = ", ".join(f"c{index} text" for index in range(width))
            connection.execute(f"CREATE TABLE t{width} (id serial, {columns})".encode())
        yield connection


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def file_of(rows: list[Row], dialect: CsvDialect, width: int = WIDTH) -> bytes:
    columns = text_columns(width)
    return dialect.header_line(columns) + RowEncoder(columns, dialect).encode(rows)


def read_by_postgresql(
    connection: psycopg.Connection, data: bytes, dialect: CsvDialect, width: int = WIDTH
) -> list[Row]:
    names = ", ".join(f"c{index}" for index in range(width))
    characters = [dialect.separator, dialect.enclosure, dialect.escape]
    delimiter, quote, escape = (psycopg.sql.Literal(each).as_string(connection) for each in characters)
    connection.execute(f"TRUNCATE t{width} RESTART IDENTITY".encode())
    copy = (
        f"COPY t{width} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8', HEADER {dialect.header},"
        f" DELIMITER {delimiter}, QUOTE {quote}, ESCAPE {escape})"
    )
    with connection.cursor() as cursor, cursor.copy(copy.encode()) as stream:
        stream.write(data)
    return connection.execute(f"SELECT {names} FROM t{width} ORDER BY id".encode()).fetchall()


def read_by_duckdb(duck: duckdb.DuckDBPyConnection, path: Path, dialect: CsvDialect) -> list[Row]:
    relation = duck.read_csv(
        str(path),
        auto_detect=False,
        columns={f"c{index}": "VARCHAR" for index in range(WIDTH)},
        header=dialect.header,
        delimiter=dialect.separator,
        quotechar=dialect.enclosure,
        escapechar=dialect.escape,
        lineterminator=dialect.line_end.decode().replace("\r", "\\r").replace("\n", "\\n"),
        na_values="",
        allow_quoted_nulls=False,
    )
    return relation.fetchall()


def label(dialect: CsvDialect) -> str:
    end = "crlf" if dialect.line_end == b"\r\n" else "lf"
    characters = repr(dialect.separator) + dialect.enclosure + dialect.escape + repr(dialect.line_break)
    return f"{characters}-{dialect.quote}-{end}"


@pytest.mark.parametrize("dialect", DIALECTS, ids=label)
def test_every_pair_of_options_reads_back(
    connection: psycopg.Connection, duck: duckdb.DuckDBPyConnection, tmp_path: Path, dialect: CsvDialect
) -> None:
    # VI-C01 VI-C02 VI-C03 VI-C04 VI-C05 VI-C06
    data = file_of(HOSTILE_ROWS, dialect)
    wanted = expected(HOSTILE_ROWS, dialect)
    assert read_by_postgresql(connection, data, dialect) == wanted
    path = tmp_path / "file.csv"
    path.write_bytes(data)
    assert read_by_duckdb(duck, path, dialect) == wanted
    without_header = read_by_python(data, dialect)[int(dialect.header) :]
    assert without_header == [tuple(value or "" for value in row) for row in wanted]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(3), dialects)
def test_hostile_texts_read_back_by_postgresql(
    connection: psycopg.Connection, rows: list[Row], dialect: CsvDialect
) -> None:
    # VI-C01
    data = file_of(rows, dialect, 3)
    assert read_by_postgresql(connection, data, dialect, 3) == expected(rows, dialect)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(1), dialects)
def test_a_table_of_one_column_reads_back_by_postgresql(
    connection: psycopg.Connection, rows: list[Row], dialect: CsvDialect
) -> None:
    # VI-C01
    data = file_of(rows, dialect, 1)
    assert read_by_postgresql(connection, data, dialect, 1) == expected(rows, dialect)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(WIDTH), dialects)
def test_hostile_texts_read_back_by_duckdb(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, rows: list[Row], dialect: CsvDialect
) -> None:
    # VI-C01
    path = tmp_path / "file.csv"
    path.write_bytes(file_of(rows, dialect))
    assert read_by_duckdb(duck, path, dialect) == expected(rows, dialect)


def copied_by_postgresql(
    connection: psycopg.Connection, rows: list[Row], dialect: CsvDialect, width: int
) -> bytes:
    """What PostgreSQL's own CSV writer makes of texts, with the dialect's line ends."""
    names = ", ".join(f"c{index}" for index in range(width))
    connection.execute(f"TRUNCATE t{width} RESTART IDENTITY".encode())
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY t{width} ({names}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        characters = [dialect.separator, dialect.enclosure, dialect.escape]
        delimiter, quote, escape = (psycopg.sql.Literal(each).as_string(connection) for each in characters)
        force = ", FORCE_QUOTE *" if dialect.encloses(Kind.TEXT) else ""
        statement = (
            f"COPY (SELECT {names} FROM t{width} ORDER BY id) TO STDOUT (FORMAT csv, ENCODING 'UTF8',"
            f" DELIMITER {delimiter}, QUOTE {quote}, ESCAPE {escape}{force})"
        )
        converter = CrlfConverter(dialect)
        with cursor.copy(statement.encode()) as copy:
            blocks = [converter.feed(bytes(block)) for block in copy]
    return b"".join(blocks) + converter.finish()


@pytest.mark.parametrize("dialect", DIALECTS, ids=label)
def test_python_writes_the_bytes_that_postgresql_writes(
    connection: psycopg.Connection, dialect: CsvDialect
) -> None:
    # VI-C01 VI-C05 VI-C06
    replaced = expected(HOSTILE_ROWS, dialect)
    for width in (1, WIDTH):
        rows = [row[:width] for row in replaced]
        written = RowEncoder(text_columns(width), dialect).encode(rows)
        assert copied_by_postgresql(connection, rows, dialect, width) == written
