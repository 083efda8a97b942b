"""Each type of value has one spelling; hostile text comes back unchanged."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from outfeed.errors import TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.java_date import JavaDatePattern
from tests.hostile_texts import Row, dialects, expected, read_by_python, rows, text_columns

UTC = dt.UTC
INSTANT = dt.datetime(2018, 1, 9, 14, 56, 13, 999_999, tzinfo=UTC)
DOTS = CsvDialect(separator=".")


def written(kind: Kind, value: Any, dialect: CsvDialect | None = None) -> str:
    columns = [Column("a", kind), Column("b", Kind.INTEGER)]
    line = RowEncoder(columns, dialect or CsvDialect()).encode([(value, 1)])
    return line.decode().removesuffix(f"{dialect.separator if dialect else ','}1\r\n")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.INTEGER, -9_223_372_036_854_775_808, "-9223372036854775808"),
        (Kind.INTEGER, True, "1"),
        (Kind.INTEGER, Decimal("12"), "12"),
        (Kind.INTEGER, "x,y", '"x,y"'),
        (Kind.DECIMAL, Decimal("1E+3"), "1000"),
        (Kind.DECIMAL, Decimal("-0.000000001"), "-0.000000001"),
        (Kind.DECIMAL, Decimal("1234567890.10"), "1234567890.10"),
        (Kind.DECIMAL, Decimal("NaN"), "NaN"),
        (Kind.FLOAT, 0.1, "0.1"),
        (Kind.FLOAT, 2.0, "2"),
        (Kind.FLOAT, 1e300, "1e+300"),
        (Kind.FLOAT, float("inf"), "Infinity"),
        (Kind.FLOAT, float("-inf"), "-Infinity"),
        (Kind.FLOAT, float("nan"), "NaN"),
        (Kind.BOOLEAN, True, "1"),
        (Kind.BOOLEAN, False, "0"),
        (Kind.BOOLEAN, 0, "0"),
        (Kind.BOOLEAN, b"\x01", "1"),
        (Kind.BOOLEAN, b"\x00", "0"),
        (Kind.INSTANT, INSTANT, "2018-01-09T14:56:13+0000"),
        (Kind.INSTANT, INSTANT.astimezone(dt.timezone(dt.timedelta(hours=2))), "2018-01-09T14:56:13+0000"),
        (Kind.LOCAL, INSTANT.replace(tzinfo=None), "2018-01-09T14:56:13+0000"),
        (Kind.LOCAL, "infinity", "infinity"),
        (Kind.DATE, dt.date(99, 1, 2), "0099-01-02"),
        (Kind.DATE, dt.datetime(2018, 1, 9, 23), "2018-01-09"),  # noqa: DTZ001
        (Kind.TIME, dt.time(1, 2, 3), "01:02:03"),
        (Kind.TIME, dt.time(1, 2, 3, 40), "01:02:03.000040"),
        (Kind.TIME, dt.timedelta(hours=-838, minutes=-59, seconds=-59, microseconds=-5), "-838:59:59.000005"),
        (Kind.TIME, dt.timedelta(seconds=7), "00:00:07"),
        (Kind.JSON, '{"a": 1}', '"{""a"": 1}"'),
        (Kind.JSON, {"a": ["é", None]}, '"{""a"": [""é"", null]}"'),
        (Kind.JSON, True, "true"),
        (Kind.UUID, uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Kind.BYTES, b"\x00\xff,", "00ff2c"),
        (Kind.BYTES, memoryview(b"\x0a"), "0a"),
        (Kind.TEXT, b"caf\xc3\xa9", "café"),
        (Kind.TEXT, 1.5, "1.5"),
        (Kind.TEXT, "", '""'),
        (Kind.BYTES, b"", '""'),
        (Kind.TEXT, " a ", " a "),
        *[(kind, None, "") for kind in Kind],
    ],
)
def test_a_value_has_one_spelling(kind: Kind, value: Any, text: str) -> None:
    # VI-C01 VI-C07 VI-C13 VI-C14
    assert written(kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.DECIMAL, Decimal("1.5"), '"1.5"'),
        (Kind.FLOAT, 1.5, '"1.5"'),
        (Kind.FLOAT, 2.0, "2"),
        (Kind.TIME, dt.time(1, 2, 3, 4), '"01:02:03.000004"'),
    ],
)
def test_a_number_with_the_separator_is_enclosed(kind: Kind, value: Any, text: str) -> None:
    # VI-C03
    assert written(kind, value, DOTS) == text


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.TEXT, "a", '"a"'),
        (Kind.JSON, "[1]", '"[1]"'),
        (Kind.UUID, uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Kind.INTEGER, 1, "1"),
        (Kind.LOCAL, INSTANT, "2018-01-09T14:56:13+0000"),
        (Kind.BOOLEAN, True, "1"),
        *[(kind, None, "") for kind in Kind],
    ],
)
def test_every_text_is_enclosed_if_wanted(kind: Kind, value: Any, text: str) -> None:
    # VI-C05
    assert written(kind, value, CsvDialect(quote="text")) == text
    assert written(kind, value, CsvDialect(escape="\\")) == text


def test_dates_with_the_escape_character_are_enclosed() -> None:
    # VI-C06
    dialect = CsvDialect(escape="\\", date=JavaDatePattern.parse("yyyy\\MM"))
    assert written(Kind.LOCAL, INSTANT, dialect) == '"2018\\\\01"'
    assert (
        written(Kind.LOCAL, INSTANT, CsvDialect(date=JavaDatePattern.parse('yyyy","MM'))) == '"2018"",""01"'
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_guarded_only_on_request(text: str) -> None:
    assert written(Kind.TEXT, text).strip('"') == text
    assert written(Kind.TEXT, text, CsvDialect(formula_guard=True)).strip('"') == "'" + text
    assert written(Kind.TEXT, "a" + text, CsvDialect(formula_guard=True)).strip('"') == "a" + text
    assert written(Kind.INTEGER, -1, CsvDialect(formula_guard=True)) == "-1"


def test_line_breaks_are_replaced() -> None:
    # VI-C04
    dialect = CsvDialect(line_break="|")
    assert written(Kind.TEXT, "a\r\nb\nc\rd", dialect) == "a|b|c|d"
    assert written(Kind.JSON, "[\n1]", dialect) == "[ 1]"
    assert written(Kind.INTEGER, "1\n2", dialect) == "1|2"
    assert written(Kind.TEXT, "a\r\nb") == '"a\r\nb"'


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.INTEGER, INSTANT), (Kind.TEXT, ["a"]), (Kind.LOCAL, 5), (Kind.BYTES, 5), (Kind.BOOLEAN, 1.5)],
)
def test_a_value_that_does_not_fit_is_an_error_without_the_value(kind: Kind, value: Any) -> None:
    with pytest.raises(
        TerminalError, match=f"^a: .* of type {type(value).__name__} .* kind {kind}"
    ) as caught:
        written(kind, value)
    assert "1.5" not in str(caught.value)


@pytest.mark.parametrize("rows", [[(1,), (1, 2)], [(1,)], [(1, 2, 3)]])
def test_a_row_of_another_width_is_an_error(rows: list[tuple[int, ...]]) -> None:
    encoder = RowEncoder([Column("a", Kind.INTEGER), Column("b", Kind.INTEGER)], CsvDialect())
    with pytest.raises(TerminalError, match="each of the 2 columns"):
        encoder.encode(rows)


def test_no_rows_are_no_bytes() -> None:
    assert RowEncoder(text_columns(2), CsvDialect()).encode([]) == b""


def test_a_lone_end_marker_is_enclosed() -> None:
    # VI-C01
    assert (
        RowEncoder(text_columns(1), CsvDialect()).encode([("\\.",), (None,), ("",)]) == b'"\\."\r\n\r\n""\r\n'
    )


@given(rows(3), dialects)
def test_hostile_texts_read_back_by_python(rows: list[Row], dialect: CsvDialect) -> None:
    # VI-C01 VI-C03 VI-C04 VI-C05 VI-C06
    data = RowEncoder(text_columns(3), dialect).encode(rows)
    assert read_by_python(data, dialect) == [
        tuple(value or "" for value in row) for row in expected(rows, dialect)
    ]
    if dialect.escape == dialect.enclosure:
        outside = re.sub(
            f"{re.escape(dialect.enclosure)}[^{dialect.enclosure}]*{dialect.enclosure}", "", data.decode()
        )
        assert outside.encode().count(b"\n") == outside.encode().count(dialect.line_end) == len(rows)
