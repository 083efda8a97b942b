"""Dates are written as Java writes them: tests/data/JavaDates.java made the vectors with a real JDK."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import re
import sqlite3
from pathlib import Path

import pytest

from outfeed.formats.iso_date import IsoDate
from outfeed.formats.java_date import JavaDatePattern

DATA = json.loads((Path(__file__).parents[1] / "data" / "java_dates.json").read_text())
VECTORS = [tuple(vector) for vector in DATA["vectors"]]
PATTERNS = sorted({pattern for pattern, _, _ in VECTORS})
DEFAULT = "yyyy-MM-dd'T'HH:mm:ssZ"


def vectors_of(pattern: str) -> list[tuple[dt.datetime, str]]:
    found = [(dt.datetime.fromisoformat(instant), text) for each, instant, text in VECTORS if each == pattern]
    assert len(found) >= 12
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_text_is_what_java_writes(pattern: str) -> None:
    # VI-C07
    parsed = JavaDatePattern.parse(pattern)
    for instant, expected in vectors_of(pattern):
        assert parsed.format(instant) == expected
        assert parsed.formatter()(instant.replace(tzinfo=None)) == expected
        assert re.fullmatch(parsed.regex(), expected)


def test_default_is_the_example_of_the_document() -> None:
    # VI-C07
    instant = dt.datetime(2018, 1, 9, 14, 56, 13, tzinfo=dt.UTC)
    assert JavaDatePattern.parse(DEFAULT).format(instant) == "2018-01-09T14:56:13+0000"
    assert JavaDatePattern.parse("yyyy-MM-dd’T’HH:mm:ssZ") == JavaDatePattern.parse(DEFAULT)
    assert JavaDatePattern.parse("yyyy ‘at’").text == "yyyy 'at'"


@pytest.mark.parametrize(
    "pattern", [DEFAULT, "yyyy-MM-dd HH:mm:ss.SSS", "d.M.yy H:mm:ss X", "dd/MM/yyyy hh:mm a"]
)
def test_values_with_another_offset_become_utc(pattern: str) -> None:
    # VI-C13 VI-C14
    parsed = JavaDatePattern.parse(pattern)
    zone = dt.timezone(dt.timedelta(hours=2))
    local = dt.datetime(2020, 3, 1, 1, 30, 7, 999_999, tzinfo=zone)
    utc = dt.datetime(2020, 2, 29, 23, 30, 7, 999_999)  # noqa: DTZ001 - without a zone: UTC
    assert parsed.format(local) == parsed.format(utc) == parsed.format(utc.replace(tzinfo=dt.UTC))
    assert "29" in parsed.format(local)


@pytest.mark.parametrize("pattern", DATA["refused"])
def test_what_java_refuses_is_refused(pattern: str) -> None:
    # VI-C07
    with pytest.raises(ValueError, match="date pattern"):
        JavaDatePattern.parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("YYYY-MM-dd", "did you mean yyyy"),
        ("yyyy-MM-DD", "did you mean dd"),
        ("yyyy-MM-D", r"did you mean d \("),
        ("yyyy-LL-dd", "did you mean MM"),
        ("yyyy-MM-dd kk:mm", "did you mean HH"),
        ("yyyy-MM-dd KK:mm a", "did you mean hh"),
        ("yyyy-MM-ddTHH:mm:ss", "single quotes: 'T'"),
        ("yyyy-MM-dd at HH", "single quotes"),
        ("yyyy-MM-dd'T", "position 11 is never closed"),
        ("yyyyXXXX", "did you mean XXX"),
        ("yyyy G", "can't be used"),
        ("", "no part of a date"),
        ("'yyyy-MM-dd'", "no part of a date"),
        ("Z", "no part of a date"),
        ("yyyy\nMM", "line breaks"),
        ("yyyy'\x00'", "control characters"),
    ],
)
def test_mistakes_are_refused_with_a_hint(pattern: str, hint: str) -> None:
    # VI-C07
    with pytest.raises(ValueError, match=hint):
        JavaDatePattern.parse(pattern)


def test_a_pattern_knows_what_it_tells() -> None:
    # VI-C15
    parsed = {
        text: JavaDatePattern.parse(text) for text in (DEFAULT, "yyyy-MM-dd", "HH'Z'", "dd hh XXX", "mm z")
    }
    assert [each.has_zone for each in parsed.values()] == [True, False, False, True, True]
    assert [each.has_hour for each in parsed.values()] == [True, False, True, True, False]
    assert parsed[DEFAULT].warnings() == ()
    assert [len(each.warnings()) for each in parsed.values()] == [0, 1, 1, 1, 1]
    assert "add Z" in parsed["yyyy-MM-dd"].warnings()[0]
    assert "HH" in parsed["dd hh XXX"].warnings()[0]
    assert "MM" in parsed["mm z"].warnings()[0]


@pytest.mark.parametrize(
    "text", ["infinity", "-infinity", "10000-01-01 00:00:00+00", "0044-03-15 12:00:00.5 BC"]
)
def test_the_text_of_what_a_pattern_can_not_say_is_expected(text: str) -> None:
    assert re.fullmatch(JavaDatePattern.parse(DEFAULT).regex(), text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2018-01-09T14:56:13", "2018-13-09T14:56:13+0000", "2018-01-09T14:56:13+0000 ", "2018-01-09"],
)
def test_other_text_is_not_a_date(text: str) -> None:
    assert not re.fullmatch(JavaDatePattern.parse(DEFAULT).regex(), text)


def test_a_used_pattern_travels_between_processes() -> None:
    parsed = JavaDatePattern.parse(DEFAULT)
    parsed.format(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert pickle.loads(pickle.dumps(parsed)) == parsed


# -- SQLite


def sqlite_texts(instant: dt.datetime) -> list[str]:
    """The spellings of an instant in a text column."""
    naive = instant.replace(tzinfo=None)
    spellings = [
        naive.isoformat(" ", "microseconds"),
        naive.isoformat("T", "microseconds") + "Z",
        str(instant),
    ]
    if naive.microsecond:
        spellings += [each.rstrip("0") for each in spellings[:1]]
        spellings += [spellings[-1] + "+00:00", spellings[-1] + "Z"]
    return spellings


@pytest.mark.parametrize("pattern", PATTERNS)
def test_sqlite_writes_the_same(pattern: str) -> None:
    # VI-C07 VI-C13
    parsed = JavaDatePattern.parse(pattern)
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        for instant, expected in vectors_of(pattern):
            for text in sqlite_texts(instant):
                connection.execute("DELETE FROM t")
                connection.execute("INSERT INTO t VALUES (?)", (text,))
                assert connection.execute(f"SELECT {parsed.sqlite('x')} FROM t").fetchall() == [(expected,)]


def test_sqlite_leaves_what_it_does_not_understand() -> None:
    values = ["2018-01-09 14:56:13+02:00", "yesterday", "", None, "2018-01-09", "2018-1-9 14:56:13"]
    with sqlite3.connect(":memory:") as connection:
        for text in values:
            sql = JavaDatePattern.parse(DEFAULT).sqlite("x")
            assert connection.execute(f"SELECT {sql} FROM (SELECT ? AS x)", (text,)).fetchall() == [(text,)]
        sql = JavaDatePattern.parse("MMM E").sqlite("x")
        found = connection.execute(f"SELECT {sql} FROM (SELECT '2018-99-99 00:00:00' AS x)").fetchall()
        assert found == [("? ?",)]


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (dt.datetime(2018, 1, 9, 14, 56, 13, 120_000, tzinfo=dt.UTC), "2018-01-09 14:56:13.120000"),
        (
            dt.datetime(99, 1, 9, 14, 56, 13, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "0099-01-09 12:56:13.000000",
        ),
    ],
)
def test_microseconds_are_kept_where_only_outfeed_reads(instant: dt.datetime, text: str) -> None:
    assert IsoDate().formatter()(instant) == IsoDate().format(instant) == text
    assert re.fullmatch(IsoDate().regex(), text)
    with sqlite3.connect(":memory:") as connection:
        for spelling in sqlite_texts(instant.astimezone(dt.UTC)):
            sql = f"SELECT {IsoDate().sqlite('x')} FROM (SELECT ? AS x)"
            ((found,),) = connection.execute(sql, (spelling,)).fetchall()
            assert dt.datetime.fromisoformat(found) == dt.datetime.fromisoformat(text)
            assert re.fullmatch(IsoDate().regex(), found)
