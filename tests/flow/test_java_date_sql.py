"""PostgreSQL and MariaDB write dates as Java does; the vectors are those of tests/unit/test_java_date.py."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from outfeed.formats.columns import Kind
from outfeed.formats.iso_date import IsoDate
from outfeed.formats.java_date import JavaDatePattern
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.unit.test_java_date import PATTERNS, vectors_of

KINDS = [(Kind.INSTANT, "timestamptz"), (Kind.LOCAL, "timestamp")]


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.create_database("java_dates"), autocommit=True) as connection:
        connection.execute("SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'")
        yield connection


def written(
    connection: psycopg.Connection, pattern: str, values: list[str], kind: Kind, type_: str
) -> list[str]:
    """What PostgreSQL makes of the values, in a column of a table."""
    sql = JavaDatePattern.parse(pattern).postgresql("x", kind)
    connection.execute(f"CREATE TEMPORARY TABLE t (id int, x {type_})")
    try:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", list(enumerate(values)))
        return [
            text for (text,) in connection.execute(f"SELECT {sql} FROM t ORDER BY id".encode()).fetchall()
        ]
    finally:
        connection.execute("DROP TABLE t")


@pytest.mark.parametrize(("kind", "type_"), KINDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_postgresql_writes_what_java_writes(
    connection: psycopg.Connection, pattern: str, kind: Kind, type_: str
) -> None:
    # VI-C07 VI-C13 VI-C14
    vectors = vectors_of(pattern)
    found = written(connection, pattern, [str(instant) for instant, _ in vectors], kind, type_)
    assert found == [expected for _, expected in vectors]


def test_an_offset_becomes_utc(connection: psycopg.Connection) -> None:
    # VI-C14
    values = ["2018-01-09 16:56:13.9+02:00", "2018-01-01 00:30:00+05:30"]
    found = written(connection, "yyyy-MM-dd'T'HH:mm:ssZ", values, Kind.INSTANT, "timestamptz")
    assert found == ["2018-01-09T14:56:13+0000", "2017-12-31T19:00:00+0000"]


@pytest.mark.parametrize(("kind", "type_"), KINDS)
@pytest.mark.parametrize("pattern", ["yyyy-MM-dd'T'HH:mm:ssZ", "yyyy-MM-dd", "d MMMM yy, SSSSS", "HHmmss"])
def test_what_a_pattern_can_not_say_stays_clear(
    connection: psycopg.Connection, pattern: str, kind: Kind, type_: str
) -> None:
    # VI-C07
    values = [
        "infinity",
        "-infinity",
        "10000-01-01 00:00:00",
        "294276-12-31 23:59:59.999999",
        "0044-03-15 12:00:00 BC",
    ]
    offset = "+00" if kind == Kind.INSTANT else ""
    found = written(connection, pattern, values, kind, type_)
    assert found[:2] == values[:2]
    assert found[2:4] == [value + offset for value in values[2:4]]
    assert found[4] == f"0044-03-15 12:00:00{offset} BC"
    assert all(re.fullmatch(JavaDatePattern.parse(pattern).regex(), text) for text in found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_null_stays_null(connection: psycopg.Connection, pattern: str) -> None:
    sql = JavaDatePattern.parse(pattern).postgresql("NULL::timestamptz", Kind.INSTANT)
    assert connection.execute(f"SELECT {sql}".encode()).fetchall() == [(None,)]


MICROSECONDS = ["2018-01-09 14:56:13", "2018-01-09 14:56:13.1", "0099-12-31 23:59:59.999999"]


@pytest.mark.parametrize(("kind", "type_"), KINDS)
def test_postgresql_writes_microseconds(connection: psycopg.Connection, kind: Kind, type_: str) -> None:
    values = [*MICROSECONDS, "infinity", "0044-03-15 12:00:00 BC"]
    sql = IsoDate().postgresql("x", kind)
    for value in values:
        (text,) = connection.execute(
            f"SELECT {sql} FROM (SELECT %s::{type_} AS x) t".encode(), (value,)
        ).fetchone()
        assert text == value
        assert re.fullmatch(IsoDate().regex(), text)


# -- MariaDB


@pytest.fixture(scope="module")
def cursor(mariadb: MariadbServer) -> Iterator[Any]:
    mariadb.create_database("java_dates")
    with mariadb.connect("java_dates") as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00', sql_mode = '', lc_time_names = 'de_DE'")
        yield cursor


@pytest.mark.parametrize("pattern", PATTERNS)
def test_mariadb_writes_what_java_writes(cursor: Any, pattern: str) -> None:
    # VI-C07 VI-C13
    vectors = vectors_of(pattern)
    cursor.execute("CREATE OR REPLACE TABLE t (id int, x datetime(6))")
    values = [(index, instant.replace(tzinfo=None)) for index, (instant, _) in enumerate(vectors)]
    cursor.executemany("INSERT INTO t VALUES (%s, %s)", values)
    cursor.execute(f"SELECT {JavaDatePattern.parse(pattern).mysql('x')} FROM t ORDER BY id")
    assert [text for (text,) in cursor.fetchall()] == [expected for _, expected in vectors]


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd'T'HH:mm:ssZ", "d MMM yyyy", "EEEE"])
def test_dates_without_a_month_stay_clear_in_mariadb(cursor: Any, pattern: str) -> None:
    # VI-C07
    cursor.execute("CREATE OR REPLACE TABLE t (id int, x datetime)")
    cursor.execute("INSERT INTO t VALUES (1, '0000-00-00'), (2, '2020-00-00'), (3, '2020-02-00'), (4, NULL)")
    cursor.execute(f"SELECT {JavaDatePattern.parse(pattern).mysql('x')} FROM t ORDER BY id")
    found = [text for (text,) in cursor.fetchall()]
    assert found == ["0000-00-00 00:00:00", "2020-00-00 00:00:00", "2020-02-00 00:00:00", None]
    assert all(re.fullmatch(JavaDatePattern.parse(pattern).regex(), text) for text in found[:3])


def test_mariadb_writes_microseconds(cursor: Any) -> None:
    cursor.execute("CREATE OR REPLACE TABLE t (x datetime(6))")
    cursor.execute("INSERT INTO t VALUES ('2018-01-09 14:56:13.000100')")
    cursor.execute(f"SELECT {IsoDate().mysql('x')} FROM t")
    assert cursor.fetchall() == (("2018-01-09 14:56:13.000100",),)
    assert (
        IsoDate().format(dt.datetime(2018, 1, 9, 14, 56, 13, 100, tzinfo=dt.UTC))
        == "2018-01-09 14:56:13.000100"
    )
