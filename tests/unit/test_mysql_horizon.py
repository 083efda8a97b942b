"""Which rows the next delta reads again on MariaDB and MySQL, by what the previous read kept."""

from __future__ import annotations

import datetime as dt

import pytest

from outfeed.formats.columns import Column, Kind
from outfeed.sources.mysql_horizon import Horizon, late_window, shortcoming
from outfeed.sources.tables import Delta
from outfeed.windows import Window

MIDNIGHT = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TONIGHT = Window(MIDNIGHT, MIDNIGHT + DAY)
INSTANT, DATE = Column("at", Kind.INSTANT), Column("day", Kind.DATE)


def delta(seen: str | None, *clock: Column, late_days: int = 7) -> Delta:
    return Delta(clock or (INSTANT,), TONIGHT, seen, late_days)


def state(at: dt.datetime | None) -> str:
    return Horizon(at).state


def test_rows_are_read_again_from_the_horizon_on() -> None:
    # VI-020
    at = MIDNIGHT - dt.timedelta(minutes=11, microseconds=3)
    assert late_window(delta(state(at))) == Window(at, MIDNIGHT)


@pytest.mark.parametrize("after", [dt.timedelta(0), dt.timedelta(minutes=9)])
def test_nothing_is_read_again_after_a_quiet_night(after: dt.timedelta) -> None:
    # VI-020
    assert late_window(delta(state(MIDNIGHT + after))) is None


def test_late_days_bound_how_far_back_rows_are_read() -> None:
    # VI-020
    long_ago = state(MIDNIGHT - 30 * DAY)
    assert late_window(delta(long_ago, late_days=2)) == Window(MIDNIGHT - 2 * DAY, MIDNIGHT)
    assert late_window(delta(long_ago, late_days=0)) is None


def test_a_date_may_have_been_written_at_any_time_of_its_day() -> None:
    # VI-020
    at = MIDNIGHT - dt.timedelta(hours=3)
    assert late_window(delta(state(at), INSTANT, DATE)) == Window(MIDNIGHT - DAY, MIDNIGHT)


@pytest.mark.parametrize("seen", [None, "", state(None), "7301/16384/742:742:", "innodb/2/2026-03-01"])
def test_a_state_that_says_nothing_of_this_engine_reads_nothing_again(seen: str | None) -> None:
    # VI-020
    assert late_window(delta(seen)) is None


def test_who_looks_for_no_late_rows_is_not_warned() -> None:
    assert shortcoming(delta(None, late_days=0), Horizon(None, "no privilege")) is None
    assert shortcoming(delta(None), Horizon(None, "no privilege")) == "no privilege"
    assert shortcoming(delta(None), Horizon(TONIGHT.end - 7 * DAY)) is None


def test_a_transaction_that_is_open_for_too_long_is_named() -> None:
    # XX-05
    problem = shortcoming(delta(None), Horizon(TONIGHT.end - 7 * DAY - dt.timedelta(seconds=1)))
    assert problem is not None
    assert "2026-02-25T23:59:59+00:00" in problem
    assert "delta_late_days (7)" in problem
