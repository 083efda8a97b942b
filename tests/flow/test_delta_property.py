"""Deltas against a model: thirty days of inserts, updates and late commits, over a change of the clock."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import io
import itertools
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from outfeed.connectors.base import Credentials
from outfeed.plan import Part, Reason
from outfeed.sources import mysql_horizon, open_source
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from tests.flow.night import Nights, config
from tests.flow.things import catalogue_of_things
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

#: The clock goes forward on the 29th of March: that day has 23 hours.
ZONE = "Europe/Oslo"
FIRST, DAYS = dt.datetime(2026, 3, 15, 23, 30, tzinfo=dt.UTC), 30
CRON = "30 23 * * *"

#: A change: which row (0 is a new one), seconds before the day's run, how many runs its commit comes after.
changes = st.tuples(st.integers(0, 6), st.integers(1, 86_400), st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5]))
histories = st.lists(st.lists(changes, max_size=5), min_size=DAYS, max_size=DAYS)
names = itertools.count()

History = list[list[tuple[int, int, int]]]


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The only entity that customers may have."""
    with catalogue_of_things(tmp_path, monkeypatch):
        yield


@dataclasses.dataclass
class Waiting:
    """A transaction that has written a row and is not committed."""

    commit_at: int
    row: int
    moment: dt.datetime
    connection: Any


class Platform(ABC):
    """A table whose rows are changed by transactions that may end days after their clock."""

    #: SQL of the engine: the table, the change of a row, and all rows in the form of the file.
    table: ClassVar[str]
    update: ClassVar[str]
    all_rows: ClassVar[str]

    def __init__(self, url: str) -> None:
        self.url = url
        self._rows: list[int] = []
        self.waiting: list[Waiting] = []
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute(self.table)
            connection.commit()

    @abstractmethod
    def connect(self) -> Any:
        """A connection that commits when it is told to; times are UTC."""

    def reads_at(self, tick: dt.datetime) -> None:  # noqa: B027 - engines that have no clock need nothing
        """A delta is about to be read."""

    def change(self, day: int, tick: dt.datetime, which: int, seconds: int, delay: int) -> None:
        """Inserts a row, or updates one that no open transaction holds."""
        moment = tick - dt.timedelta(seconds=seconds)
        held = {waiting.row for waiting in self.waiting}
        free = [row for row in self._rows if row not in held]
        connection = self.connect()
        if which == 0 or not free:
            row = len(self._rows) + 1
            connection.cursor().execute("INSERT INTO things VALUES (%s, 'new', %s, NULL)", (row, moment))
            self._rows.append(row)
        else:
            row = free[which % len(free)]
            connection.cursor().execute(self.update, (moment.replace(tzinfo=None), row))
        self.waiting.append(Waiting(day + delay, row, moment, connection))
        self.settle(day, only=self.waiting[-1:])

    def settle(self, day: int, only: list[Waiting] | None = None) -> None:
        """Commits what is due."""
        for waiting in list(self.waiting if only is None else only):
            if waiting.commit_at <= day:
                waiting.connection.commit()
                waiting.connection.close()
                self.waiting.remove(waiting)

    def rows(self) -> dict[str, list[str]]:
        """The table as it is, in the form of the file."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(self.all_rows)
            return {row[0]: list(row) for row in cursor.fetchall()}


class PostgresPlatform(Platform):
    """On PostgreSQL."""

    table = (
        "CREATE TABLE things (id bigint PRIMARY KEY, name text, created timestamptz NOT NULL,"
        " updated timestamp)"
    )
    update = "UPDATE things SET name = name || 'x', updated = greatest(updated, %s) WHERE id = %s"
    all_rows = """
        SELECT id::text, name, to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+0000"'),
               coalesce(to_char(updated, 'YYYY-MM-DD"T"HH24:MI:SS"+0000"'), '') FROM things
    """

    def connect(self) -> Any:
        return psycopg.connect(self.url)


class MariadbPlatform(Platform):
    """On MariaDB. Its server can't live in March: since when transactions are open comes from a table."""

    table = (
        "CREATE TABLE things (id bigint PRIMARY KEY, name text, created timestamp(6) NULL,"
        " updated datetime(6))"
    )
    update = (
        "UPDATE things SET name = concat(name, 'x'),"
        " updated = greatest(coalesce(updated, '1000-01-01'), %s) WHERE id = %s"
    )
    all_rows = """
        SELECT CAST(id AS CHAR), name, DATE_FORMAT(created, '%Y-%m-%dT%T+0000'),
               COALESCE(DATE_FORMAT(updated, '%Y-%m-%dT%T+0000'), '') FROM things
    """

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(url)
        monkeypatch.setattr(mysql_horizon, "_TRANSACTIONS", "SELECT min(begin) FROM transactions")
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute("CREATE TABLE transactions (begin datetime(6))")

    def connect(self) -> Any:
        return pymysql.connect(**self._address(), init_command="SET time_zone = '+00:00'")

    def _address(self) -> dict[str, Any]:
        parts = urlsplit(self.url)
        return {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "database": parts.path.lstrip("/"),
            # To set TLS up would take most of the test's time.
            "ssl_disabled": True,
        }

    def reads_at(self, tick: dt.datetime) -> None:
        """Without open transactions, the server's time counts."""
        begins = [tick, *(waiting.moment for waiting in self.waiting)]
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute("DELETE FROM transactions")
            connection.cursor().executemany("INSERT INTO transactions VALUES (%s)", [(b,) for b in begins])
            connection.commit()


def read(nights: Nights, run: RunContext) -> dict[str, list[list[str]]]:
    """The rows of each part of a run, without header."""
    extract(run, 0, open_source("platform-data", nights.url, Credentials()))
    return {part.mode: _rows(run, part) for part in run.plan.parts}


def _rows(run: RunContext, part: Part) -> list[list[str]]:
    done = run.staging.result("extract", part.key)
    assert done is not None
    with run.staging.open_chain(done["segments"]) as stream:
        header, *rows = csv.reader(io.StringIO(stream.read().decode(), newline=""))
    assert header == ["id", "name", "created", "updated"]
    assert len(rows) == done["rows"]
    return rows


@dataclasses.dataclass
class Delivered:
    """A delta that was delivered, and the oldest clock that was not committed when it was read."""

    rows: list[list[str]]
    late: list[list[str]]
    oldest_open: dt.datetime


def replay(platform: Platform, history: History, folder: Path) -> list[Delivered]:
    """Thirty days of changes; the snapshot of the first one and all deltas together are the table."""
    settings_ = {"data_delta_midnight_to_midnight": "1", "data_delta_time_zone": ZONE}
    nights = Nights(folder, platform.url, config(schedules={}, start_date="2026-03-01", **settings_))
    copy: dict[str, list[str]] = {}
    delivered = []
    # Changes of the last days are committed, read and delivered in the days after.
    for day in range(DAYS + 7):
        tick = FIRST + dt.timedelta(days=day)
        platform.settle(day)
        for which, seconds, delay in history[day] if day < DAYS else []:
            platform.change(day, tick, which, seconds, delay)
        platform.reads_at(tick)
        run = nights.plan(tick, cron=CRON, reason=Reason.SCHEDULED)
        found = read(nights, run)
        if day == 0:
            copy = {row[0]: row for row in found["snapshot"]}
        copy |= {row[0]: row for row in found["delta"]}
        late = [row for row in found["delta"] if _clock(row) < run.plan.start]
        parts = {part.key: part for part in run.ledger.parts("acme", run.plan.run_id)}
        assert parts["delta/things"].rows_late == len(late)
        delivered.append(Delivered(found["delta"], late, min([tick, *(w.moment for w in platform.waiting)])))
    assert copy == platform.rows(), "a row was lost"
    return delivered


def times(deliveries: list[Delivered]) -> Counter[tuple[str, ...]]:
    """How often each row was delivered."""
    return Counter(tuple(row) for each in deliveries for row in each.rows)


@pytest.mark.usefixtures("things")
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_snapshot_and_deltas_together_are_the_source(postgres: PostgresServer, history: History) -> None:
    # VI-020 VI-023 VI-025
    platform = PostgresPlatform(postgres.create_database(f"delta_{next(names)}"))
    with tempfile.TemporaryDirectory() as folder:
        delivered = replay(platform, history, Path(folder))
    assert {row: count for row, count in times(delivered).items() if count > 1} == {}, "a row came twice"


@pytest.mark.usefixtures("things")
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
@example(history=[[(0, 3 * 3600, 0), (0, 7200, 2)], [(1, 3 * 3600, 1)], *[[(0, 9000, 0)]] * (DAYS - 2)])
def test_snapshot_and_deltas_together_are_the_source_on_mariadb(
    mariadb: MariadbServer, history: History
) -> None:
    # VI-020 VI-023 VI-025
    """Rows may come twice, but only those that are not older than a transaction that was open."""
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        url = mariadb.create_database(f"delta_{next(names)}")
        platform = MariadbPlatform(f"{url}?ssl_mode=DISABLED", monkeypatch)
        delivered = replay(platform, history, Path(folder))
    for previous, following in pairwise(delivered):
        for row in following.late:
            assert _clock(row) >= previous.oldest_open - dt.timedelta(minutes=1), "read again for nothing"
    once = [
        dataclasses.replace(each, rows=[row for row in each.rows if row not in each.late])
        for each in delivered
    ]
    assert {row: count for row, count in times(once).items() if count > 1} == {}, "a window overlapped"


def _clock(row: list[str]) -> dt.datetime:
    return max(dt.datetime.fromisoformat(text) for text in row[2:] if text)
