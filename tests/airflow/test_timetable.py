"""The scheduler's intervals are the library's windows."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

from outfeed.windows import Window, WindowRule, local_midnight
from tests.airflow.dags import dag_of, stored

pytestmark = pytest.mark.airflow

UTC = dt.UTC


def _at(*numbers: int) -> dt.datetime:
    return dt.datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]


def _infos(dag: Any, first: dt.datetime, last: dt.datetime) -> list[Any]:
    from pendulum import instance

    return list(dag.iter_dagrun_infos_between(instance(first), instance(last)))


def _windows(infos: list[Any]) -> list[Window]:
    return [Window(info.data_interval.start, info.data_interval.end) for info in infos]


def _scheduled(dag: Any, count: int) -> list[Any]:
    """The first runs that the scheduler makes, one after the other."""
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    earliest = dag.start_date and instance(dag.start_date)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=dag.catchup)
    found: list[Any] = []
    while len(found) < count:
        info = dag.timetable.next_dagrun_info(
            last_automated_data_interval=found[-1].data_interval if found else None, restriction=restriction
        )
        if info is None:
            break
        found.append(info)
    return found


@pytest.mark.parametrize(
    ("day", "hours"), [(dt.date(2026, 3, 29), 23), (dt.date(2026, 10, 25), 25), (dt.date(2026, 7, 1), 24)]
)
def test_a_local_day_is_a_whole_day_also_when_the_clock_changes(day: dt.date, hours: int) -> None:
    # XX-02, DX-014
    dag = stored(dag_of(release_delay="10m"))
    before, after = day - dt.timedelta(days=1), day + dt.timedelta(days=1)
    infos = _infos(dag, local_midnight(before, "Europe/Paris"), local_midnight(after, "Europe/Paris"))

    windows = _windows(infos)
    assert len(windows) == 3, "both ends of a backfill's range are included"
    assert windows[1] == Window(local_midnight(day, "Europe/Paris"), local_midnight(after, "Europe/Paris"))
    assert windows[1].span == dt.timedelta(hours=hours)
    assert [windows[0].end, windows[1].end] == [windows[1].start, windows[2].start]
    assert [info.run_after - info.data_interval.end for info in infos] == [dt.timedelta(minutes=10)] * 3


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("0 0 * * *", "America/St_Johns"),
        ("0 0 * * 1", "Europe/Paris"),
        ("0 0 1 * *", "Australia/Lord_Howe"),
        ("30 2 * * *", "Europe/Paris"),
        ("0 */6 * * *", "UTC"),
    ],
)
def test_the_timetable_and_the_library_agree_for_a_year(cron: str, zone: str) -> None:
    # DX-014, DX-018, XX-02
    dag = stored(dag_of(interval=None, cron=cron, time_zone=zone, start_date="2026-01-01"))
    rule = WindowRule(cron, zone)
    expected = list(rule.between(dag.start_date, _at(2027, 1, 1)))

    windows = _windows(_scheduled(dag, len(expected)))

    assert windows == expected
    assert all(one.end == following.start for one, following in itertools.pairwise(windows))


@pytest.mark.parametrize(
    ("interval", "starts"),
    [
        ("daily", [(2026, 1, 30, 23), (2026, 1, 31, 23), (2026, 2, 1, 23)]),
        ("weekly", [(2026, 2, 1, 23), (2026, 2, 8, 23), (2026, 2, 15, 23)]),
        ("monthly", [(2026, 1, 31, 23), (2026, 2, 28, 23), (2026, 3, 31, 22)]),
    ],
)
def test_each_interval_begins_at_local_midnight_from_the_start_date_on(
    interval: str, starts: list[tuple[int, ...]]
) -> None:
    # DX-014, DX-018
    dag = stored(dag_of(interval=interval, start_date="2026-01-31"))
    assert [window.start for window in _windows(_scheduled(dag, 3))] == [_at(*start) for start in starts]


def test_a_one_time_export_runs_exactly_once() -> None:
    # DX-017
    dag = stored(dag_of(interval="once", start_date="2026-03-28", end_date="2026-03-30", release_delay="2h"))

    (info,) = _scheduled(dag, 5)

    assert _windows([info]) == [Window(_at(2026, 3, 27, 23), _at(2026, 3, 29, 22))]
    assert info.run_after == _at(2026, 3, 30, 0)


@pytest.mark.parametrize("interval", [{"interval": "daily"}, {"interval": "once", "end_date": "2026-04-01"}])
def test_a_timetable_survives_serialisation(interval: dict[str, str]) -> None:
    dag = dag_of(**interval, release_delay="90m")
    read_back = stored(dag)
    assert type(read_back.timetable) is type(dag.timetable)
    assert read_back.timetable.serialize() == dag.timetable.serialize()
    assert read_back.timetable.summary == dag.timetable.summary
    assert "+90m" in read_back.timetable.summary
    assert _scheduled(read_back, 3) == _scheduled(dag, 3)


@pytest.mark.parametrize(
    ("named", "window"),
    [
        ((2026, 5, 1, 22), ((2026, 5, 1, 22), (2026, 5, 2, 22))),  # a window's start means that window
        (
            (2026, 5, 2, 9),
            ((2026, 4, 30, 22), (2026, 5, 1, 22)),
        ),  # else the last that had ended
    ],
)
def test_the_logical_date_of_a_manual_run_means_a_window(
    named: tuple[int, ...], window: tuple[Any, Any]
) -> None:
    from pendulum import instance

    timetable = stored(dag_of()).timetable
    interval = timetable.infer_manual_data_interval(run_after=instance(_at(*named)))
    assert Window(*interval) == Window(_at(*window[0]), _at(*window[1]))


def test_a_manual_run_never_gets_a_window_that_has_not_ended() -> None:
    from pendulum import instance

    timetable = stored(dag_of()).timetable
    rule = WindowRule("0 0 * * *", "Europe/Paris")
    last_boundary = rule.previous_boundary(dt.datetime.now(UTC))
    interval = timetable.infer_manual_data_interval(run_after=instance(last_boundary))
    assert interval.end == last_boundary


def test_a_manual_run_of_a_one_time_export_has_its_window() -> None:
    from pendulum import instance

    timetable = stored(dag_of(interval="once", start_date="2026-03-28", end_date="2026-03-30")).timetable
    interval = timetable.infer_manual_data_interval(run_after=instance(_at(2026, 6, 1)))
    assert Window(*interval) == Window(_at(2026, 3, 27, 23), _at(2026, 3, 29, 22))


@pytest.mark.parametrize("start_date", ["2026-03-01", None])
def test_a_scheduler_that_was_down_for_a_week_owes_seven_windows(start_date: str | None) -> None:
    # DX-001, DX-018
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import instance

    dag = stored(dag_of(start_date=start_date))
    rule = WindowRule("0 0 * * *", "Europe/Paris")
    now = dt.datetime.now(UTC)
    owed = list(rule.between(now - dt.timedelta(days=9), now))[-7:]
    last = rule.last_complete(owed[0].start)
    earliest = dag.start_date and instance(dag.start_date)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=dag.catchup)
    for window in owed:
        interval = DataInterval(instance(last.start), instance(last.end))
        info = dag.timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        assert _windows([info]) == [window]
        last = window


def test_a_customer_without_a_start_date_begins_with_the_last_complete_window() -> None:
    # DX-005, DX-018
    first, second = _windows(_scheduled(stored(dag_of(start_date=None)), 2))
    assert first == WindowRule("0 0 * * *", "Europe/Paris").last_complete(dt.datetime.now(UTC))
    assert second.start == first.end
