"""The options of a CSV file: what is refused, what is warned of, and the header."""

from __future__ import annotations

import re
from typing import Any

import pytest

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.java_date import JavaDatePattern

COLUMNS = [
    Column("id", Kind.INTEGER),
    Column("a name", Kind.TEXT),
    Column('odd,"\n', Kind.TEXT),
    Column("", Kind.TEXT),
]


def test_defaults_follow_rfc_4180() -> None:
    # VI-C01 VI-C02 VI-C03 VI-C05 VI-C06 VI-C07
    dialect = CsvDialect()
    assert dialect.header_line(COLUMNS) == b'id,a name,"odd,""\n",""\r\n'
    assert dialect.date.text == "yyyy-MM-dd'T'HH:mm:ssZ"
    assert dialect.warnings() == ()
    assert not dialect.encloses_text


def test_header_follows_the_options() -> None:
    # VI-C02 VI-C03 VI-C04 VI-C05 VI-C06
    assert CsvDialect(header=False).header_line(COLUMNS) == b""
    tabs = CsvDialect(separator="\t", enclosure="'", escape="\\", line_break=" ", line_end=b"\n")
    assert tabs.header_line(COLUMNS) == b"'id'\t'a name'\t'odd,\" '\t''\n"
    backslash = CsvDialect(escape="\\")
    assert backslash.header_line([Column('a\\b"c', Kind.TEXT)]) == b'"a\\\\b\\"c"\r\n'
    assert CsvDialect(quote="text").header_line(COLUMNS[:1]) == b'"id"\r\n'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ""}, "field separator|separator is empty"),
        ({"separator": ",,"}, "one ASCII character"),
        ({"separator": "§"}, "one ASCII character"),
        ({"separator": "\n"}, "can't be"),
        ({"separator": "\r"}, "can't be"),
        ({"separator": "\x00"}, "can't be"),
        ({"separator": '"'}, "field separator and enclosure are both"),
        ({"separator": "\\", "escape": "\\"}, "field separator and escape character are both"),
        ({"enclosure": ""}, "enclosure is empty"),
        ({"enclosure": "\n"}, "enclosure can't be"),
        ({"escape": ""}, "escape is empty"),
        ({"escape": "\r"}, "escape can't be"),
        ({"line_break": ""}, "one character"),
        ({"line_break": "\n"}, "no line break itself"),
        ({"line_break": "\r\n"}, "one character"),
        ({"line_break": ","}, "has a meaning"),
        ({"line_break": '"'}, "has a meaning"),
        ({"line_break": "\\", "escape": "\\"}, "has a meaning"),
        ({"quote": "all"}, "minimal or text"),
        ({"line_end": b"\r"}, "CRLF or LF"),
    ],
)
def test_what_can_not_be_read_back_is_refused(options: dict[str, Any], message: str) -> None:
    # VI-C03 VI-C04 VI-C05 VI-C06
    with pytest.raises(ValueError, match=message):
        CsvDialect(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ";"}, "';' leaves RFC 4180"),
        ({"enclosure": "'"}, 'enclosure "\'" leaves RFC 4180'),
        ({"escape": "\\"}, "escape character .* leaves RFC 4180"),
        ({"line_end": b"\n"}, "CRLF"),
        ({"formula_guard": True}, "differ from the platform's"),
        ({"date": JavaDatePattern.parse("yyyy-MM-dd HH:mm:ss")}, "add Z"),
    ],
)
def test_departures_are_warned_of(options: dict[str, Any], message: str) -> None:
    # VI-C15
    warnings = CsvDialect(**options).warnings()
    assert any(re.search(message, warning) for warning in warnings)


def test_an_escape_character_of_its_own_encloses_texts() -> None:
    # VI-C06
    assert CsvDialect(escape="\\").encloses_text
    assert CsvDialect(quote="text").encloses(Kind.JSON)
    assert not CsvDialect(quote="text").encloses(Kind.INTEGER)
    assert not CsvDialect(escape="\\").encloses(Kind.LOCAL)
    pattern = JavaDatePattern.parse("yyyy\\MM\\dd")
    assert CsvDialect(escape="\\", date=pattern).encloses(Kind.LOCAL)
    assert not CsvDialect(date=pattern).encloses(Kind.LOCAL)


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
def test_a_line_break_becomes_one_character(line_break: str) -> None:
    # VI-C04
    text = f"a{line_break}{line_break}b{line_break}"
    assert CsvDialect(line_break="|").without_breaks(text) == "a||b|"
    assert CsvDialect(line_break="\\").without_breaks(text) == "a\\\\b\\"
    assert CsvDialect().without_breaks(text) == text
    assert CsvDialect(line_break="|").without_breaks(text, Kind.JSON) == "a  b "
