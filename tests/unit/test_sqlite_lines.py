"""Lines that SQLite writes are those that Python would write, whatever the table holds."""

from __future__ import annotations

import dataclasses
import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.java_date import JavaDatePattern
from outfeed.sources import sqlite_lines
from outfeed.sources.row_copy import TableWriter, write_rows
from outfeed.sources.sqlite_cells import Way
from outfeed.sources.sqlite_lines import EVERYTHING, LineCopy
from outfeed.sources.sqlite_values import column, conversion
from outfeed.sources.tables import TableCopy
from tests.hostile_texts import DIALECTS, PIECES

DECLARED = (
    "n INTEGER, yes BOOLEAN, txt TEXT, untyped, at TIMESTAMPTZ, plain TIMESTAMP, price DECIMAL(9,2), "
    "whole DECIMAL(9), any_number NUMERIC, x REAL, ref UUID, doc JSON, raw BLOB, day DATE"
)
PLAIN: tuple[Any, ...] = (
    *(7, 1, "words", "more", "2026-03-03 12:00:00.25+00", "2026-03-03T12:00:00.123456Z", 1.5, 3, 0.25, 1 / 3),
    *("c4ca4238-a0b9-2382-0dcc-509a6f75849b", '{"a": "b"}', b"\x00\xff", "2026-03-03"),
)
ODD: list[Any] = [
    *PIECES,
    *(None, "", 0, -1, 2**63 - 1, -(2**63), 1.5, -0.0, 0.1 + 0.2, 1e300, 5e-324, 1e22, float("inf"), -1e-7),
    *(b"", b"bytes", b"\xff", "a\x00,b", '\x00"', "\x1e", "\x1fx", "x\x1f\x1fy", "1.5", "1e5", "NaN"),
    *("2026-03-03", "2026-03-03 12:00:00", "2026-03-03T12:00:00.5Z", "2026-03-03 12:00:00+02:00", "soon"),
    *("2026-03-03 12:00:00\x1f2026-03-03 12:00:00", "x" * 300_000),
]


def table(*rows: Sequence[Any]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"CREATE TABLE t ({DECLARED})")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(PLAIN))})", rows)
    return connection


def written(
    connection: sqlite3.Connection, dialect: CsvDialect, *names: str
) -> tuple[bytes, bytes, LineCopy]:
    """By SQLite as far as it can; by Python alone; and how far SQLite could."""
    declared = connection.execute("SELECT name, type FROM pragma_table_xinfo('t')").fetchall()
    columns = tuple(column(*each) for each in declared if not names or each[0] in names)
    copy = TableCopy("t", (), columns, dialect, None)
    fast, slow = io.BytesIO(), io.BytesIO()
    lines = LineCopy(connection, copy)
    writer = TableWriter(copy, fast, lambda _rows, _bytes: None)
    assert lines.write(EVERYTHING, writer.write) == writer.rows
    writer.flush()
    listed = ", ".join(f'"{each.name}"' for each in columns)
    cursor = connection.execute(f"SELECT {listed} FROM t ORDER BY _rowid_")
    slow.close = lambda: None  # type: ignore[method-assign]
    convert = [conversion(each, dialect.date) for each in columns]
    rows = write_rows(cursor, copy, lambda _number: slow, lambda _rows, _bytes: None, convert)
    assert writer.rows == rows
    return fast.getvalue(), slow.getvalue(), lines


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd'T'HH:mm:ssZ", "yyyy-MM-dd HH:mm:ss.SSS", "dd.MM.yy, HH:mm"])
@pytest.mark.parametrize("dialect", DIALECTS[::37])
def test_any_value_in_any_column_is_written_as_by_python(
    dialect: CsvDialect, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-C01 VI-C04 VI-C05 VI-C06 VI-C07 VI-C14
    """Small blocks, so that columns go one way for a while and then another."""
    monkeypatch.setattr(sqlite_lines, "_ROWS", 3)
    dialect = dataclasses.replace(dialect, date=JavaDatePattern.parse(pattern))
    rows = [PLAIN] * 4
    for number, value in enumerate(ODD):
        rows += [
            (*PLAIN[:at], value, *PLAIN[at + 1 :]) for at in (number % len(PLAIN), (number * 5 + 3) % 14)
        ]
        rows += [PLAIN] * (number % 3)
    with closing(table(*rows, *([value] * len(PLAIN) for value in ODD[:-1]))) as connection:
        fast, slow, _ = written(connection, dialect)
    assert fast == slow


@pytest.mark.parametrize(
    "date",
    [
        *("2026-03-03 12:00:00+02:00", "2026-03-03 12:00:00+02", "2026-03-03T12:00:00+00:30", "2026-03-03"),
        *(
            "2026-03-03 12:00:00+0000",
            "2026-03-03 12:00:00.123456789Z",
            "2026-03-03 12:00:00.1+00:00",
            "\x1e",
        ),
        *(
            "2026-03-03 12:00:00\x1f2026-03-03 12:00:00",
            "2026-03-03 12:00:00 BC",
            "-026-03-03 12:00:00",
            "\x1e",
        ),
    ],
)
@pytest.mark.parametrize("pattern", ["yyyy-MM-dd'T'HH:mm:ssZ", "yyyy-MM-dd HH:mm:ss.SSS"])
def test_dates_of_one_form_are_written_as_by_python(date: str, pattern: str) -> None:
    # VI-C07 VI-C13
    """Among others, a date would never be rewritten with many at once."""
    dialect = CsvDialect(date=JavaDatePattern.parse(pattern))
    rows = [(*PLAIN[:4], each, each, *PLAIN[6:]) for each in (date, None, date)]
    with closing(table(*rows)) as connection:
        fast, _, _ = written(connection, dialect)
    with closing(table(*rows, (*PLAIN[:4], "soon", "x\x1f", *PLAIN[6:]))) as connection:
        _, slow, _ = written(connection, dialect)
    assert fast == b"".join(slow.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize("name", ["n", "txt", "untyped", "at", "x", "doc"])
def test_a_table_of_one_column_is_written_as_by_python(name: str) -> None:
    # VI-C01
    with closing(table(*([value] * len(PLAIN) for value in ODD))) as connection:
        fast, slow, _ = written(connection, CsvDialect(), name)
    assert fast == slow


@pytest.mark.parametrize("special", ["-", "1", "T", ":", ".", "e", "+", "\x1f", "\x1e"])
@pytest.mark.parametrize("role", ["separator", "enclosure", "escape"])
def test_characters_of_numbers_and_dates_may_have_a_meaning(role: str, special: str) -> None:
    # VI-C03 VI-C05 VI-C06
    options: dict[str, Any] = {role: special, "formula_guard": special == "-"}
    dialect = CsvDialect(**options)
    with closing(table(PLAIN, *([value] * len(PLAIN) for value in ODD[:-1]), PLAIN)) as connection:
        fast, slow, _ = written(connection, dialect)
    assert fast == slow


def test_columns_of_plain_values_are_written_by_sqlite() -> None:
    """Or else the other tests would compare Python with itself."""
    with closing(table(*[PLAIN] * 2000, *[(None,) * len(PLAIN)] * 3)) as connection:
        fast, slow, lines = written(connection, CsvDialect())
    assert fast == slow
    assert lines._ways.count(Way.PYTHON) == 4, "dates, and numbers of no set scale"
    assert lines._ways.count(Way.CELL) == 1, "the JSON"
