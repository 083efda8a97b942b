"""Deltas against a model: thirty days of inserts, updates and late commits, over a change of the clock."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outfeed.config.catalogue import catalogue
from outfeed.connectors.base import Credentials
from outfeed.plan import Part, Reason
from outfeed.sources import open_source
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from tests.flow.night import Nights, config
from tests.servers.postgres import PostgresServer

#: The clock goes forward on the 29th of March: that day has 23 hours.
ZONE = "Europe/Oslo"
FIRST, DAYS = dt.datetime(2026, 3, 15, 23, 30, tzinfo=dt.UTC), 30
CRON = "30 23 * * *"

CATALOGUE = """
entities:
  things:
    table: things
    key: [id]
    changes: mutable
    clock: [created, updated]
    schedule: "30 23 * * *"
"""

#: A change: which row (0 is a new one), seconds before the day's run, how many runs its commit comes after.
changes = st.tuples(st.integers(0, 6), st.integers(1, 86_400), st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5]))
histories = st.lists(st.lists(changes, max_size=5), min_size=DAYS, max_size=DAYS)
names = itertools.count()


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A platform with a table of its own: the catalogue is data."""
    folder = tmp_path / "datasets" / "platform_data"
    folder.mkdir(parents=True)
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    monkeypatch.setenv("OUTFEED_DATASETS", str(folder.parent))
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()


@dataclasses.dataclass
class Waiting:
    """A transaction that has written a row and is not committed."""

    commit_at: int
    row: int
    connection: psycopg.Connection[Any]


class Platform:
    """A table whose rows are changed by transactions that may end days after their clock."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rows: list[int] = []
        self._waiting: list[Waiting] = []
        with psycopg.connect(url) as connection:
            connection.execute(
                "CREATE TABLE things (id bigint PRIMARY KEY, name text, created timestamptz NOT NULL,"
                " updated timestamp)"
            )

    def change(self, day: int, tick: dt.datetime, which: int, seconds: int, delay: int) -> None:
        """Inserts a row, or updates one that no open transaction holds."""
        moment = tick - dt.timedelta(seconds=seconds)
        held = {waiting.row for waiting in self._waiting}
        free = [row for row in self._rows if row not in held]
        connection = psycopg.connect(self._url)
        if which == 0 or not free:
            row = len(self._rows) + 1
            connection.execute("INSERT INTO things VALUES (%s, 'new', %s, NULL)", (row, moment))
            self._rows.append(row)
        else:
            row = free[which % len(free)]
            connection.execute(
                "UPDATE things SET name = name || 'x', updated = greatest(updated, %s) WHERE id = %s",
                (moment.replace(tzinfo=None), row),
            )
        self._waiting.append(Waiting(day + delay, row, connection))
        self.settle(day, only=self._waiting[-1:])

    def settle(self, day: int, only: list[Waiting] | None = None) -> None:
        """Commits what is due."""
        for waiting in list(self._waiting if only is None else only):
            if waiting.commit_at <= day:
                waiting.connection.commit()
                waiting.connection.close()
                self._waiting.remove(waiting)

    def rows(self) -> dict[str, list[str]]:
        """The table as it is, in the form of the file."""
        pattern = 'YYYY-MM-DD"T"HH24:MI:SS"+0000"'
        with psycopg.connect(self._url) as connection:
            found = connection.execute(
                "SELECT id::text, name, to_char(created AT TIME ZONE 'UTC', %(pattern)s),"
                " coalesce(to_char(updated, %(pattern)s), '') FROM things",
                {"pattern": pattern},
            )
            return {row[0]: list(row) for row in found}


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


@pytest.mark.usefixtures("things")
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_snapshot_and_deltas_together_are_the_source(
    postgres: PostgresServer, history: list[list[tuple[int, int, int]]]
) -> None:
    # VI-020 VI-023 VI-025
    url = postgres.create_database(f"delta_{next(names)}")
    platform = Platform(url)
    with tempfile.TemporaryDirectory() as folder:
        nights = Nights(
            Path(folder),
            url,
            config(
                schedules={},
                data_delta_midnight_to_midnight="1",
                data_delta_time_zone=ZONE,
                start_date="2026-03-01",
            ),
        )
        copy: dict[str, list[str]] = {}
        seen: Counter[tuple[str, ...]] = Counter()
        # Changes of the last days are committed, read and delivered in the days after.
        for day in range(DAYS + 7):
            tick = FIRST + dt.timedelta(days=day)
            platform.settle(day)
            for which, seconds, delay in history[day] if day < DAYS else []:
                platform.change(day, tick, which, seconds, delay)
            run = nights.plan(tick, cron=CRON, reason=Reason.SCHEDULED)
            found = read(nights, run)
            if day == 0:
                copy = {row[0]: row for row in found["snapshot"]}
            for row in found["delta"]:
                copy[row[0]] = row
                seen[tuple(row)] += 1
            record = next(
                part for part in run.ledger.parts("acme", run.plan.run_id) if part.key == "delta/things"
            )
            assert record.rows_late == sum(_is_late(row, run) for row in found["delta"])
        assert copy == platform.rows(), "a row was lost"
        assert {row: count for row, count in seen.items() if count > 1} == {}, "a row came twice"


def _is_late(row: list[str], run: RunContext) -> bool:
    clocks = [dt.datetime.fromisoformat(text) for text in row[2:] if text]
    return max(clocks) < run.plan.start
