"""Windows abut, whatever clocks, months and leap years do: properties over many zones and rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outfeed.errors import ConfigError
from outfeed.windows import (
    FIRST_YEAR,
    INTERVAL_CRONS,
    LAST_YEAR,
    Window,
    WindowRule,
    format_instant,
    local_midnight,
    parse_instant,
)

UTC = dt.UTC
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)

#: Zones whose clocks do odd things: change at midnight, by half an hour, by two or three hours, or never.
ODD_ZONES = (
    *("Europe/Paris", "America/New_York", "Africa/Cairo", "Asia/Beirut", "America/Havana", "Asia/Gaza"),
    *("Australia/Lord_Howe", "Antarctica/Troll", "Antarctica/Casey", "Africa/Casablanca", "America/Santiago"),
    *("Pacific/Auckland", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "UTC", "Asia/Tehran"),
)
zones = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(sorted(available_timezones())))
instants = st.datetimes(
    dt.datetime(2020, 1, 1),  # noqa: DTZ001 - the zone is given below
    dt.datetime(2037, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
named_rules = st.sampled_from(sorted(INTERVAL_CRONS.values()))
daily_rules = st.builds("{} {} * * *".format, st.integers(0, 59), st.integers(0, 23))
rules = st.one_of(
    named_rules,
    daily_rules,
    st.builds("{} {} * * {}".format, st.integers(0, 59), st.integers(0, 23), st.integers(0, 6)),
    st.builds("{} {} {} * *".format, st.integers(0, 59), st.integers(0, 23), st.integers(1, 31)),
    st.sampled_from(["*/15 * * * *", "0 * * * *", "30 */6 * * *", "0 0 31 * *", "0 0 1 */3 *", "0 0 29 2 *"]),
)
window_rules = st.builds(WindowRule, rules, zones)
daily_window_rules = st.builds(WindowRule, daily_rules, zones)


# -- properties of every rule


@settings(max_examples=300)
@given(window_rules, instants)
def test_boundaries_surround_every_instant(rule: WindowRule, instant: dt.datetime) -> None:
    # XX-02 DX-066
    following, preceding = rule.next_boundary(instant), rule.previous_boundary(instant)
    assert preceding < instant < following
    assert following.tzinfo is preceding.tzinfo is UTC
    assert rule.is_boundary(following)
    assert rule.is_boundary(preceding)
    # Nothing lies between the two, except perhaps the instant itself.
    assert rule.next_boundary(preceding) in (instant, following)
    assert rule.previous_boundary(following) in (instant, preceding)
    assert rule.is_boundary(instant) == (rule.next_boundary(preceding) == instant)


@settings(max_examples=200)
@given(window_rules, instants)
def test_next_and_previous_are_inverse_at_boundaries(rule: WindowRule, instant: dt.datetime) -> None:
    # XX-02
    boundary = rule.next_boundary(instant)
    assert rule.previous_boundary(rule.next_boundary(boundary)) == boundary
    assert rule.next_boundary(rule.previous_boundary(boundary)) == boundary


@given(window_rules, instants, st.integers(1, 12))
def test_consecutive_windows_abut(rule: WindowRule, instant: dt.datetime, count: int) -> None:
    # DX-066 XX-02
    windows = [rule.window_starting(rule.next_boundary(instant))]
    for _ in range(count):
        windows.append(rule.window_starting(windows[-1].end))
    for earlier, later in pairwise(windows):
        assert earlier.start < earlier.end == later.start
    assert list(rule.between(windows[0].start, windows[-1].end)) == windows


@settings(max_examples=200)
@given(window_rules, instants)
def test_the_last_complete_window_has_just_ended(rule: WindowRule, now: dt.datetime) -> None:
    # XX-02 DX-066
    window = rule.last_complete(now)
    assert window.end <= now < rule.next_boundary(window.end)
    assert window == rule.window_starting(window.start)
    # At its very end a window is complete; a microsecond before it is not.
    assert rule.last_complete(window.end) == window
    assert rule.last_complete(window.end - dt.timedelta(microseconds=1)).end == window.start


@settings(max_examples=50)
@given(daily_window_rules, instants, st.floats(0, 9), st.floats(0, 9))
def test_between_gives_the_whole_windows_of_a_span(
    rule: WindowRule, start: dt.datetime, first_days: float, second_days: float
) -> None:
    # XX-02: a backfill in two halves delivers what one backfill delivers.
    middle = rule.next_boundary(start + dt.timedelta(days=first_days))
    end = middle + dt.timedelta(days=second_days)
    windows = list(rule.between(start, end))
    assert list(rule.between(start, middle)) + list(rule.between(middle, end)) == windows
    for window in windows:
        assert start <= window.start < window.end <= end
    if windows:
        assert rule.previous_boundary(windows[0].start) < start
        assert rule.next_boundary(windows[-1].end) > end


@given(window_rules, instants, st.sampled_from(ODD_ZONES))
def test_the_zone_in_which_an_instant_is_written_does_not_matter(
    rule: WindowRule, instant: dt.datetime, zone: str
) -> None:
    # XX-02
    written = instant.astimezone(ZoneInfo(zone))
    assert rule.next_boundary(written) == rule.next_boundary(instant)
    assert rule.previous_boundary(written) == rule.previous_boundary(instant)
    assert rule.last_complete(written) == rule.last_complete(instant)


# -- against an oracle that knows neither cron libraries nor folds


def _minutes(zone: ZoneInfo, start: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Every UTC minute with the wall clock that it shows."""
    for minute in range(days * 1440):
        instant = start + minute * MINUTE
        yield instant, instant.astimezone(zone).replace(tzinfo=None)


Clock = tuple[set[int], set[int]]


def _ticks(zone: ZoneInfo, clock: Clock, start: dt.datetime, days: int) -> list[dt.datetime]:
    """When the clock first shows one of these hours and minutes, or has just jumped over them."""
    hours, minutes = clock
    found: dict[dt.datetime, dt.datetime] = {}
    before: dt.datetime | None = None
    for instant, wall in _minutes(zone, start, days):
        skipped = int((wall - before) / MINUTE) - 1 if before is not None else 0
        for back in range(max(skipped, 0), -1, -1):
            tick = wall - back * MINUTE
            if tick.hour in hours and tick.minute in minutes:
                found.setdefault(tick, instant + (skipped - back) * MINUTE if back else instant)
        before = wall
    return sorted(set(found.values()))


@settings(max_examples=40)
@given(
    st.sampled_from(ODD_ZONES),
    st.integers(0, 3),
    st.sampled_from([0, 15, 30]),
    st.dates(dt.date(2020, 1, 1), dt.date(2036, 12, 31)),
)
def test_daily_boundaries_are_what_the_clock_shows(zone: str, hour: int, minute: int, day: dt.date) -> None:
    # DX-066 XX-02
    start = dt.datetime.combine(day, dt.time(), UTC)
    expected = _ticks(ZoneInfo(zone), ({hour}, {minute}), start, 8)
    rule = WindowRule(f"{minute} {hour} * * *", zone)
    end = start + dt.timedelta(days=7)
    windows = list(rule.between(start, end))
    found = [*(window.start for window in windows), windows[-1].end]
    assert found == [tick for tick in expected if tick <= end]


#: Days, in UTC, on which a clock changes at a bad time or by an odd amount.
CHANGES = [
    ("Europe/Paris", dt.date(2026, 3, 29)),
    ("Europe/Paris", dt.date(2026, 10, 25)),
    ("Africa/Cairo", dt.date(2026, 4, 23)),  # midnight does not exist
    ("Africa/Cairo", dt.date(2026, 10, 29)),  # 23:00 comes twice
    ("Asia/Beirut", dt.date(2026, 3, 28)),
    ("Asia/Beirut", dt.date(2026, 10, 24)),
    ("America/Havana", dt.date(2026, 3, 8)),
    ("America/Havana", dt.date(2026, 11, 1)),  # midnight comes twice
    ("Australia/Lord_Howe", dt.date(2026, 10, 3)),  # half an hour forward
    ("Australia/Lord_Howe", dt.date(2026, 4, 4)),  # half an hour back
    ("Antarctica/Troll", dt.date(2026, 3, 29)),  # two hours
    ("Antarctica/Casey", dt.date(2020, 10, 3)),  # three hours
]
CLOCKS: dict[str, Clock] = {
    "0 0 * * *": ({0}, {0}),
    "0 2 * * *": ({2}, {0}),
    "*/15 * * * *": (set(range(24)), {0, 15, 30, 45}),
    "15,40 * * * *": (set(range(24)), {15, 40}),
    "15,40 2 * * *": ({2}, {15, 40}),
    "10 1,23 * * *": ({1, 23}, {10}),
}


def _change(zone: ZoneInfo, day: dt.date) -> dt.datetime:
    """The first instant at which the clock has changed on a day."""
    offsets = [
        (instant, instant.replace(tzinfo=None) - wall)
        for instant, wall in _minutes(zone, dt.datetime.combine(day, dt.time(), UTC), 2)
    ]
    return next(later for (_, old), (later, new) in pairwise(offsets) if old != new)


@pytest.mark.parametrize("cron", CLOCKS)
@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_every_boundary_around_a_clock_change(zone: str, day: dt.date, cron: str) -> None:
    # DX-066 XX-02
    change = _change(ZoneInfo(zone), day)
    ticks = _ticks(ZoneInfo(zone), CLOCKS[cron], change - dt.timedelta(days=3), 6)
    rule = WindowRule(cron, zone)
    for minutes in range(-200, 201, 25):
        instant = change + minutes * MINUTE
        assert rule.next_boundary(instant) == min(tick for tick in ticks if tick > instant)
        assert rule.previous_boundary(instant) == max(tick for tick in ticks if tick < instant)


# -- known days


def test_the_days_on_which_paris_changes_its_clock() -> None:
    # DX-066
    rule = WindowRule(INTERVAL_CRONS["daily"], "Europe/Paris")
    spring = rule.last_complete(dt.datetime(2026, 3, 30, 12, tzinfo=UTC))
    assert str(spring) == "[2026-03-28T23:00:00Z, 2026-03-29T22:00:00Z)"
    assert spring.span == 23 * HOUR
    autumn = rule.last_complete(dt.datetime(2026, 10, 26, 12, tzinfo=UTC))
    assert str(autumn) == "[2026-10-24T22:00:00Z, 2026-10-25T23:00:00Z)"
    assert autumn.span == 25 * HOUR


def test_a_year_of_days_months_and_weeks() -> None:
    # DX-066 DX-014
    start = local_midnight(dt.date(2028, 1, 1), "Europe/Paris")
    end = local_midnight(dt.date(2029, 1, 1), "Europe/Paris")
    days = list(WindowRule(INTERVAL_CRONS["daily"], "Europe/Paris").between(start, end))
    assert (days[0].start, days[-1].end, len(days)) == (start, end, 366)
    lengths = [day.span / HOUR for day in days]
    assert (lengths.count(23), lengths.count(24), lengths.count(25)) == (1, 364, 1)
    months = list(WindowRule(INTERVAL_CRONS["monthly"], "UTC").between(start, end + HOUR))
    assert [month.span.days for month in months] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    weeks = list(WindowRule(INTERVAL_CRONS["weekly"], "UTC").between(start, end))
    assert {week.start.weekday() for week in weeks} == {0}
    assert {week.span for week in weeks} == {dt.timedelta(days=7)}


def test_leap_days_and_short_months() -> None:
    # DX-066
    leap = WindowRule("0 0 29 2 *", "UTC")
    window = leap.window_starting(dt.datetime(2024, 2, 29, tzinfo=UTC))
    assert window.end == dt.datetime(2028, 2, 29, tzinfo=UTC)
    last = WindowRule("0 0 31 * *", "UTC")
    year = last.between(parse_instant("2026-01-01T00:00:00Z"), parse_instant("2027-01-01T00:00:00Z"))
    assert [window.start.month for window in year] == [1, 3, 5, 7, 8, 10]


# -- the same boundaries as Airflow


@pytest.mark.parametrize("interval", sorted(INTERVAL_CRONS))
def test_airflow_sees_the_same_boundaries_in_paris(interval: str) -> None:
    # XX-02 DX-066: what an operator knows of Airflow's data intervals holds for our windows.
    from airflow.timetables.interval import CronDataIntervalTimetable
    from pendulum import instance, timezone

    cron = INTERVAL_CRONS[interval]
    theirs = CronDataIntervalTimetable(cron, timezone=timezone("Europe/Paris"))
    ours = WindowRule(cron, "Europe/Paris")
    instant = dt.datetime(2026, 1, 1, 10, tzinfo=UTC)
    while instant < dt.datetime(2027, 4, 1, tzinfo=UTC):
        assert theirs._get_next(instance(instant)) == ours.next_boundary(instant)
        assert theirs._get_prev(instance(instant)) == ours.previous_boundary(instant)
        instant = ours.next_boundary(instant)
    run = instance(instant)
    assert theirs.infer_manual_data_interval(run_after=run).start == ours.last_complete(instant).start
    assert theirs.infer_manual_data_interval(run_after=run).end == ours.last_complete(instant).end


# -- windows and instants as values


def test_a_window_is_a_span_of_utc() -> None:
    # XX-02
    paris = ZoneInfo("Europe/Paris")
    window = Window(dt.datetime(2026, 3, 29, tzinfo=paris), dt.datetime(2026, 3, 30, tzinfo=paris))
    assert (window.start.tzinfo, window.end.tzinfo) == (UTC, UTC)
    assert window == Window(parse_instant("2026-03-28T23:00:00Z"), parse_instant("2026-03-29T22:00:00Z"))
    assert hash(window) == hash(Window(window.start, window.end))
    naive = dt.datetime(2026, 3, 29)  # noqa: DTZ001 - the point of the test
    for start, end in ((naive, window.end), (window.start, naive)):
        with pytest.raises(ConfigError, match="has no time zone"):
            Window(start, end)
    for end in (window.start, window.start - HOUR):
        with pytest.raises(ConfigError, match="is not after its start"):
            Window(window.start, end)


@given(instants, st.sampled_from(ODD_ZONES))
def test_an_instant_survives_being_written(instant: dt.datetime, zone: str) -> None:
    # XX-02
    assert parse_instant(format_instant(instant)) == instant
    assert format_instant(instant.astimezone(ZoneInfo(zone))) == format_instant(instant)
    assert format_instant(instant).endswith("Z")


@pytest.mark.parametrize("text", ["yesterday", "", "2026-03-27T00:00:00", "2026-03-27"])
def test_a_text_that_is_no_instant(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it like|add one, like"):
        parse_instant(text)


@pytest.mark.parametrize("day", [dt.date(1, 1, 1), dt.date(1899, 12, 31), dt.date(3000, 1, 1), dt.date.max])
def test_a_year_that_no_calendar_reaches_is_refused(day: dt.date) -> None:
    said = f"{day.isoformat()}.* lies outside the years 1900 to 2999"
    with pytest.raises(ConfigError, match=said):
        local_midnight(day, "Europe/Paris")
    if day.year in (1899, 3000):
        # In some zone it is the neighbour's.
        assert parse_instant(f"{day.isoformat()}T00:00:00Z").year == day.year
    else:
        with pytest.raises(ConfigError, match=said):
            parse_instant(f"{day.isoformat()}T00:00:00+14:00")


@pytest.mark.parametrize("day", [dt.date(FIRST_YEAR, 1, 1), dt.date(LAST_YEAR, 12, 31)])
@pytest.mark.parametrize("cron", ["0 0 * * *", "0 0 29 2 *"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Adak", "Europe/Paris"])
def test_every_day_of_the_calendar_has_its_windows(day: dt.date, cron: str, zone: str) -> None:
    start = local_midnight(day, zone)
    window = WindowRule(cron, zone).last_complete(start)
    assert window.end <= start < WindowRule(cron, zone).next_boundary(start)


def test_local_midnight() -> None:
    assert local_midnight(dt.date(2026, 7, 1), "Europe/Paris") == parse_instant("2026-06-30T22:00:00Z")
    assert local_midnight(dt.date(2026, 1, 1), "America/New_York") == parse_instant("2026-01-01T05:00:00Z")
    # In Cairo this day begins at one o'clock.
    assert local_midnight(dt.date(2026, 4, 24), "Africa/Cairo") == parse_instant("2026-04-23T22:00:00Z")
