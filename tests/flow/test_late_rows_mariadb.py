"""Rows that commit late on MariaDB: real transactions that are open while a delta is read."""

from __future__ import annotations

import csv
import datetime as dt
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pymysql
import pytest

from outfeed.plan import Reason
from outfeed.sources import mysql_tables
from outfeed.sources.mysql_horizon import Horizon, read_horizon, utc
from tests.flow.night import Nights, config
from tests.flow.table_platform import DAY, Place, Read, make_part
from tests.flow.things import catalogue_of_things
from tests.servers.mariadb import MACHINE_ZONE, MariadbServer

pytestmark = pytest.mark.servers

HOUR = dt.timedelta(hours=1)
MARGIN = dt.timedelta(minutes=1)
TABLE = (
    "CREATE TABLE things (id bigint PRIMARY KEY, name text, created timestamp(6) NULL, updated datetime(6))"
)
#: A statement that has taken long enough to be told from the time of the read.
RUNNING = "SELECT 1 FROM information_schema.processlist WHERE id = {} AND command = 'Query' AND time > 1"


@pytest.fixture
def place(mariadb: MariadbServer) -> Place:
    """A database with a table `things`; nothing is open on the server."""
    found = Place("mariadb", mariadb.create_database("late"))
    found.run(TABLE)
    open_ones = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_is_read_only = 0"
    until(lambda: not found.rows(open_ones))
    return found


def execute(connection: Any, *statements: str) -> None:
    for statement in statements:
        connection.cursor().execute(statement)


def now(place: Place) -> dt.datetime:
    ((found,),) = place.rows("SELECT utc_timestamp(6)")
    return found.replace(tzinfo=dt.UTC)


def state(place: Place) -> str:
    """What a delta that is read now would keep."""
    with place.source()._engine.tables() as snapshot:
        assert snapshot.state is not None
        return snapshot.state


def horizon(place: Place) -> dt.datetime:
    """The instant in the state."""
    return dt.datetime.fromisoformat(state(place).removeprefix("innodb/1/"))


def until(found: Callable[[], Any]) -> Any:
    """Waits for the server to show something: its list of transactions is up to 0.1 s old."""
    deadline = time.monotonic() + 60
    while not (answer := found()):
        assert time.monotonic() < deadline, "the server never showed it"
        time.sleep(0.25)
    return answer


def begun(place: Place, condition: str) -> dt.datetime:
    """Since when the only transaction is open, as the server's machine reads its clock."""
    query = f"SELECT trx_started FROM information_schema.innodb_trx WHERE {condition}"
    ((found,),) = until(lambda: place.rows(query))
    return found.replace(tzinfo=ZoneInfo(MACHINE_ZONE)).astimezone(dt.UTC)


# -- what the horizon is


def test_the_horizon_is_a_minute_before_the_oldest_open_transaction(place: Place) -> None:
    # VI-020
    with place.connect() as writer, place.connect() as younger:
        execute(writer, "BEGIN", "INSERT INTO things (id, created) VALUES (1, now(6))")
        started = begun(place, f"trx_mysql_thread_id = {writer.thread_id()}")
        until(lambda: now(place) > started + dt.timedelta(seconds=1))
        execute(younger, "BEGIN", "INSERT INTO things (id, created) VALUES (2, now(6))")
        assert begun(place, f"trx_mysql_thread_id = {younger.thread_id()}") > started
        assert horizon(place) == started - MARGIN
        execute(writer, "COMMIT")
        execute(younger, "COMMIT")
    assert until(lambda: horizon(place) != started - MARGIN)


def test_without_open_transactions_the_horizon_is_a_minute_before_the_read(place: Place) -> None:
    # VI-020
    """Transactions and statements that only read do not count, however long they take."""
    place.run("INSERT INTO things (id) VALUES (1)")
    with place.connect() as report, place.connect() as query:
        execute(report, "START TRANSACTION READ ONLY", "SELECT * FROM things")
        select = threading.Thread(target=_until_killed, args=(query, "SELECT id, sleep(600) FROM things"))
        select.start()
        try:
            until(lambda: place.rows(RUNNING.format(query.thread_id())))
            until(lambda: len(place.rows("SELECT 1 FROM information_schema.innodb_trx")) == 2)
            before = now(place)
            assert before - MARGIN <= horizon(place) <= now(place) - MARGIN
        finally:
            place.run(f"KILL {query.thread_id()}")
            select.join()


def _until_killed(connection: Any, statement: str) -> None:
    with pytest.raises(pymysql.MySQLError):
        execute(connection, statement)


def test_a_prepared_transaction_whose_client_is_gone_counts(place: Place) -> None:
    # VI-020
    with place.connect() as writer:
        execute(writer, "XA START 'k'", "INSERT INTO things (id) VALUES (1)", "XA END 'k'", "XA PREPARE 'k'")
    try:
        started = begun(place, "trx_mysql_thread_id = 0")
        assert horizon(place) == started - MARGIN
    finally:
        until(lambda: place.rows("XA RECOVER"))
        until(lambda: _rolled_back(place))


def _rolled_back(place: Place) -> bool:
    """A client that is just going still holds its transaction for a moment."""
    try:
        place.run("XA ROLLBACK 'k'")
    except pymysql.MySQLError:
        return False
    return True


def test_a_statement_that_waits_for_its_table_counts(place: Place) -> None:
    # VI-020
    """It has its `NOW()` already, and no transaction yet."""
    with place.connect() as holder, place.connect() as writer:
        execute(holder, "LOCK TABLES things WRITE")
        insert = threading.Thread(
            target=execute, args=(writer, "INSERT INTO things (id, created) VALUES (1, now(6))")
        )
        insert.start()
        try:
            until(lambda: place.rows(RUNNING.format(writer.thread_id())))
            found, after = horizon(place), now(place)
        finally:
            execute(holder, "UNLOCK TABLES")
            insert.join()
    ((clock,),) = place.rows("SELECT created FROM things")
    assert found <= after - MARGIN - dt.timedelta(seconds=2)
    assert found <= clock.replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-01 00:59:59", "2026-11-01 04:59:59"),
        ("2026-11-01 01:30:00", "2026-11-01 05:30:00"),
        ("2026-11-01 02:00:00", "2026-11-01 07:00:00"),
        ("2026-03-08 03:00:00", "2026-03-08 07:00:00"),
        ("2026-07-01 12:00:00", "2026-07-01 16:00:00"),
    ],
)
def test_the_first_of_an_hour_that_comes_twice_is_meant(place: Place, local: str, expected: str) -> None:
    # VI-020
    ((found,),) = place.rows(f"SELECT CAST({utc(f'TIMESTAMP{local!r}')} AS CHAR)")
    assert found.removesuffix(".000000") == expected


# -- which rows are read again


def test_what_is_committed_while_the_horizon_is_read_is_in_the_snapshot(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-020
    """Else it would be neither open nor visible."""
    moment = now(place)

    def with_commits(cursor: Any, at: dt.datetime) -> Horizon:
        place.run("INSERT INTO things (id, created) VALUES (1, now(6))")
        found = read_horizon(cursor, at)
        place.run("INSERT INTO things (id, created) VALUES (2, now(6))")
        return found

    monkeypatch.setattr(mysql_tables, "read_horizon", with_commits)
    found = read(place, tmp_path, start=moment - HOUR, end=moment + HOUR, late_days=7)
    assert ids(found) == ["1", "2"]


def read(place: Place, folder: Path, **part: Any) -> Read:
    with place.reading(folder) as reading:
        return reading.extract(make_part("things", clock=["created", "updated"], **part))


def ids(found: Read) -> list[str | None]:
    return [row[0] for row in found.rows]


def test_the_greatest_clock_decides_what_is_late(place: Place, tmp_path: Path) -> None:
    # VI-020
    end = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    clocks = {
        1: ("2026-03-02 22:59:59.999999", None),
        2: ("2026-03-02 23:00:00", None),
        3: ("2026-01-01 00:00:00", "2026-03-02 23:59:59.999999"),
        4: (None, "2026-03-02 23:30:00"),
        5: ("2026-03-02 23:30:00", "2026-03-03 00:00:00"),
        6: ("2026-03-02 23:30:00", "2026-03-04 00:00:00"),
        7: (None, None),
    }
    with place.connect() as connection:
        rows = [(number, *pair) for number, pair in clocks.items()]
        connection.cursor().executemany("INSERT INTO things VALUES (%s, 'x', %s, %s)", rows)
    seen = f"innodb/1/{(end - DAY - HOUR).isoformat()}"
    late = read(place, tmp_path, start=end - DAY, end=end, seen=seen, late_days=7)
    assert ids(late) == ["2", "3", "4", "5"]
    assert (late.extracted.rows, late.extracted.late, late.extracted.unplaced) == (4, 3, 1)
    for options in ({"seen": seen}, {"late_days": 7}, {"seen": "innodb/1/unknown", "late_days": 7}):
        strict = read(place, tmp_path, start=end - DAY, end=end, **options)
        assert (ids(strict), strict.extracted.late) == (["5"], 0)


# -- nights of a customer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    with catalogue_of_things(tmp_path, monkeypatch):
        yield tmp_path


class Deliveries:
    """Nights whose windows end at the full hours around a tick."""

    def __init__(self, home: Path, url: str, tick: dt.datetime) -> None:
        self.cron = f"{tick.minute} {tick.hour} * * *"
        self.nights = Nights(home, url, config(schedules={"things": self.cron}))
        self.tick = tick
        # Validates the place; what a test export has read counts for nothing.
        self.nights.night(tick - DAY, cron=self.cron)

    def delta(self, tick: dt.datetime) -> tuple[list[str], int, int]:
        """Delivers; the ids in the file, and the late rows that manifest and ledger count."""
        result = self.nights.night(tick, cron=self.cron, reason=Reason.SCHEDULED)["box"]
        manifest = self.nights.manifest(result)
        (entry,) = [entry for entry in manifest["files"] if entry["part"] == "delta/things"]
        content = (self.nights.delivered / entry["path"]).read_text(encoding="utf-8")
        header, *rows = csv.reader(io.StringIO(content, newline=""))
        assert header[0] == "id"
        record = self.nights.ledger.parts("acme", self.nights.ledger.runs("acme")[0].run_id)
        (late,) = [part.rows_late for part in record if part.key == "delta/things"]
        return [row[0] for row in rows], entry["late_rows"], late


def insert(place: Place, number: int, clock: dt.datetime) -> None:
    place.run(f"INSERT INTO things (id, created) VALUES ({number}, '{clock:%Y-%m-%d %H:%M:%S.%f}')")


def test_a_row_that_commits_late_is_in_the_next_delta_and_counted(place: Place, home: Path) -> None:
    # VI-020
    """What was committed while the transaction was open comes twice; nobody can tell it from the late one."""
    began = now(place)
    # So the first window ends at least an hour from now.
    end = (began + 2 * HOUR).replace(minute=0, second=0, microsecond=0)
    deliveries = Deliveries(home, place.url, end + HOUR / 2)
    insert(place, 1, began - 3 * HOUR)
    with place.connect() as writer:
        execute(writer, "BEGIN", "INSERT INTO things (id, created) VALUES (2, now(6))")
        execute(writer, "UPDATE things SET updated = now(6) WHERE id = 1")
        place.run("INSERT INTO things (id, created) VALUES (3, now(6))")
        assert deliveries.delta(deliveries.tick) == (["1", "3"], 0, 0)
        execute(writer, "COMMIT")
    insert(place, 4, end)
    assert deliveries.delta(deliveries.tick + DAY) == (["1", "2", "3", "4"], 3, 3)


def test_nothing_comes_twice_when_no_transaction_was_open(place: Place, home: Path) -> None:
    # VI-020
    """To the last microsecond of the window."""
    end = (now(place) - 3 * DAY).replace(minute=0, second=0, microsecond=0)
    insert(place, 1, end - dt.timedelta(microseconds=1))
    insert(place, 2, end)
    deliveries = Deliveries(home, place.url, end + HOUR / 2)
    assert deliveries.delta(deliveries.tick) == (["1"], 0, 0)
    assert deliveries.delta(deliveries.tick + DAY) == (["2"], 0, 0)


# -- when nobody knows


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_login_that_may_not_see_transactions_is_told_the_grant(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-020 XX-05
    """The window is read as before; so is the next one, without late rows."""
    place.run("CREATE OR REPLACE USER poor IDENTIFIED BY 'secret-word'", "GRANT SELECT ON late.* TO poor")
    poor = Place("mariadb", place.url.replace("root:@", "poor:secret-word@"))
    moment = now(place)
    window = {"start": moment - HOUR, "end": moment + HOUR, "late_days": 7}
    with place.connect() as writer:
        execute(writer, "BEGIN", "INSERT INTO things (id, created) VALUES (1, now(6))")
        place.run("INSERT INTO things (id, created) VALUES (2, now(6))")
        with poor.reading(tmp_path) as reading:
            part = make_part("things", clock=["created"], **window)
            first, again = reading.extract(part), reading.extract(part)
        execute(writer, "COMMIT")
    assert ids(first) == ids(again) == ["2"]
    assert first.extracted.read_state == "innodb/1/unknown"
    (warning,) = warnings(caplog)
    assert "GRANT PROCESS ON *.* TO" in warning
    assert "secret-word" not in warning
    after = {"start": moment + HOUR, "end": moment + 2 * HOUR, "late_days": 7}
    following = read(place, tmp_path, **after, seen=first.extracted.read_state)
    assert (ids(following), following.extracted.late) == ([], 0)


def test_who_may_see_transactions_is_not_warned(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-020
    place.run("CREATE OR REPLACE USER rich IDENTIFIED BY 'secret-word'")
    place.run("GRANT SELECT ON late.* TO rich", "GRANT PROCESS ON *.* TO rich")
    rich = Place("mariadb", place.url.replace("root:@", "rich:secret-word@"))
    with place.connect() as writer:
        execute(writer, "BEGIN", "INSERT INTO things (id, created) VALUES (1, now(6))")
        started = begun(place, f"trx_mysql_thread_id = {writer.thread_id()}")
        assert horizon(rich) == started - MARGIN
    assert read(rich, tmp_path, late_days=7).extracted.rows == 0
    assert warnings(caplog) == []


def test_a_replica_does_not_pretend_to_know(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-020 XX-05
    place.run("SET GLOBAL read_only = 1")
    try:
        found = read(place, tmp_path, late_days=7)
    finally:
        place.run("SET GLOBAL read_only = 0")
    assert found.extracted.read_state == "innodb/1/unknown"
    (warning,) = warnings(caplog)
    assert "replica" in warning


def test_a_transaction_that_is_open_for_longer_than_deltas_look_back_is_named(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-020 XX-05
    moment = now(place)
    with place.connect() as writer:
        execute(writer, "BEGIN", "INSERT INTO things (id, created) VALUES (1, now(6))")
        started = begun(place, f"trx_mysql_thread_id = {writer.thread_id()}")
        read(place, tmp_path, start=moment, end=moment + 3 * DAY, late_days=2)
    (warning,) = warnings(caplog)
    assert f"{started - MARGIN:%Y-%m-%dT%H:%M:%S}" in warning
    assert "delta_late_days (2)" in warning
