"""Timetables whose data intervals are the library's windows: scheduler and library share one truth."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, instance

from outfeed.windows import Window, WindowRule, format_instant, parse_instant

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction


def window_at(rule: WindowRule, instant: dt.datetime, now: dt.datetime) -> Window:
    """The window that somebody means who names `instant`: the one that starts there, if it has ended;
    otherwise the last one that had ended by then. So a scheduled run's logical date gives its own window.
    """
    if rule.is_boundary(instant) and (window := rule.window_starting(instant)).end <= now:
        return window
    return rule.last_complete(instant)


def _delay_text(delay: dt.timedelta) -> str:
    return f"+{int(delay.total_seconds()) // 60}m"


class ExportWindowTimetable(CronDataIntervalTimetable):
    """Data intervals are the windows of a `WindowRule`: they abut, come summer or winter (DX-014, XX-02).

    A run starts `delay` after its window's end, so that late data can arrive.
    """

    def __init__(self, cron: str, timezone: str, delay: dt.timedelta = dt.timedelta()) -> None:
        super().__init__(cron, timezone)
        self.rule = WindowRule(cron, timezone)
        self.delay = delay

    def serialize(self) -> dict[str, Any]:
        """See the base class."""
        return {"cron": self.rule.cron, "time_zone": self.rule.time_zone, "delay": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """See the base class."""
        return cls(data["cron"], data["time_zone"], dt.timedelta(seconds=data["delay"]))

    @property
    def summary(self) -> str:
        """What the UI shows: the rule, its zone and the delay."""
        return f"{self.rule.cron} {self.rule.time_zone} {_delay_text(self.delay)}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next window, released `delay` after its end; none is ever left out, whatever `catchup` says.

        A DAG without a start date begins with the last complete window, as seen when it is first scheduled.
        """
        restriction = restriction._replace(catchup=True)
        if last_automated_data_interval is None and restriction.earliest is None:
            first = self.rule.last_complete(dt.datetime.now(dt.UTC))
            restriction = restriction._replace(earliest=instance(first.start))
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if info is None or info.data_interval is None:
            return None
        return info._replace(run_after=info.data_interval.end + self.delay)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The window that the logical date of a manual run means (see `window_at`)."""
        return _interval(window_at(self.rule, run_after, dt.datetime.now(dt.UTC)))

    def _get_next(self, current: DateTime) -> DateTime:
        return instance(self.rule.next_boundary(current))

    def _get_prev(self, current: DateTime) -> DateTime:
        return instance(self.rule.previous_boundary(current))


class OnceWindowTimetable(Timetable):
    """Exactly one run, of exactly this window, `delay` after its end; never a second one (DX-017)."""

    periodic = False
    run_ordering = ("logical_date",)

    def __init__(self, window: Window, delay: dt.timedelta = dt.timedelta()) -> None:
        self.window = window
        self.delay = delay
        self.description = f"Once, for {window}"

    def serialize(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "start": format_instant(self.window.start),
            "end": format_instant(self.window.end),
            "delay": self.delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """See the base class."""
        window = Window(parse_instant(data["start"]), parse_instant(data["end"]))
        return cls(window, dt.timedelta(seconds=data["delay"]))

    @property
    def summary(self) -> str:
        """What the UI shows."""
        return f"once {_delay_text(self.delay)}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The only window, unless the DAG has run by itself before.

        A date in the past is due at once, so the answer needs no clock.
        """
        if last_automated_data_interval is not None:
            return None
        interval = _interval(self.window)
        return DagRunInfo(run_after=interval.end + self.delay, data_interval=interval)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A manual run exports the same window."""
        return _interval(self.window)


def _interval(window: Window) -> DataInterval:
    return DataInterval(instance(window.start), instance(window.end))
