"""Windows: half-open `[start, end)` in UTC, from a cron rule in the customer's time zone.

The rule's ticks are the boundaries, so consecutive windows abut by construction, across changes of
the clock, month ends and leap days (XX-02, DX-066, design §3). Nothing here reads the clock.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from outfeed.errors import Action, ConfigError

#: Cron for each named interval of document 000: boundaries at local midnight (DX-014).
INTERVAL_CRONS = {"daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}

#: Years in which windows may lie: others are slips of the pen, and calendars end soon after the year 9999.
FIRST_YEAR, LAST_YEAR = 1900, 2999

#: No zone has changed its clock by more than this; a wall-clock search starts that much early.
_MAX_CLOCK_CHANGE = dt.timedelta(hours=3)


@dataclasses.dataclass(frozen=True, order=True)
class Window:
    """A half-open span `[start, end)` of UTC instants; never empty, never naive.

    Raises:
        ConfigError: if a bound has no zone or the end is not after the start.
    """

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.tzinfo is None:
                raise ConfigError(f"window {name} {value.isoformat()} has no time zone")
            object.__setattr__(self, name, value.astimezone(dt.UTC))
        if self.end <= self.start:
            raise ConfigError(
                f"window end {self.end.isoformat()} is not after its start {self.start.isoformat()}"
            )

    @property
    def span(self) -> dt.timedelta:
        """The elapsed time between the bounds (23 h on the day that clocks go forward)."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"[{format_instant(self.start)}, {format_instant(self.end)})"


def format_instant(instant: dt.datetime) -> str:
    """RFC 3339 in UTC with `Z`, seconds precision unless there are microseconds."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> dt.datetime:
    """An aware UTC instant from RFC 3339 text.

    Raises:
        ConfigError: if the text is no date-time, has no offset, or a year that no calendar of ours reaches.
    """
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not an RFC 3339 date-time", remedy="write it like 2026-03-27T00:00:00+01:00"
        ) from None
    if instant.tzinfo is None:
        raise ConfigError(
            f"{text!r} has no offset", remedy="add one, like 2026-03-27T00:00:00+01:00 or a final Z"
        )
    # A day at the edge begins or ends in the year beside, in some zone.
    _require_known_year(instant, leeway=1)
    return instant.astimezone(dt.UTC)


def local_midnight(day: dt.date, time_zone: str) -> dt.datetime:
    """The UTC instant at which `day` begins in `time_zone`.

    Raises:
        ConfigError: for a day that no calendar of ours reaches.
    """
    _require_known_year(day)
    return dt.datetime.combine(day, dt.time(), ZoneInfo(time_zone)).astimezone(dt.UTC)


def is_known_year(day: dt.date) -> bool:
    """Whether windows may lie in the year of a day or instant."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def _require_known_year(day: dt.date, leeway: int = 0) -> None:
    if not FIRST_YEAR - leeway <= day.year <= LAST_YEAR + leeway:
        raise ConfigError(
            f"{day.isoformat()} lies outside the years {FIRST_YEAR} to {LAST_YEAR}",
            action=Action.OPERATOR,
            remedy="correct the date",
        )


@dataclasses.dataclass(frozen=True)
class WindowRule:
    """Boundaries of windows: the ticks of a five-field cron expression on a zone's wall clock.

    A tick that the clock skips happens when the clock has jumped; a tick that the clock shows twice
    happens the first time. So `0 0 * * *` in Europe/Paris gives one 23-hour and one 25-hour day a year.
    """

    cron: str
    time_zone: str

    def next_boundary(self, after: dt.datetime) -> dt.datetime:
        """The first boundary strictly after `after`, in UTC."""
        return self._search(after, forward=True)

    def previous_boundary(self, before: dt.datetime) -> dt.datetime:
        """The last boundary strictly before `before`, in UTC."""
        return self._search(before, forward=False)

    def is_boundary(self, instant: dt.datetime) -> bool:
        """Whether `instant` is a boundary of this rule."""
        return self.previous_boundary(self.next_boundary(instant)) == instant.astimezone(dt.UTC)

    def window_starting(self, start: dt.datetime) -> Window:
        """The window that begins at the boundary `start`."""
        return Window(start, self.next_boundary(start))

    def last_complete(self, now: dt.datetime) -> Window:
        """The latest window that has ended at or before `now`."""
        end = now.astimezone(dt.UTC) if self.is_boundary(now) else self.previous_boundary(now)
        return Window(self.previous_boundary(end), end)

    def between(self, start: dt.datetime, end: dt.datetime) -> Iterator[Window]:
        """The windows that begin at or after `start` and end at or before `end`, in order."""
        boundary = start if self.is_boundary(start) else self.next_boundary(start)
        while (following := self.next_boundary(boundary)) <= end:
            yield Window(boundary, following)
            boundary = following

    def _search(self, instant: dt.datetime, *, forward: bool) -> dt.datetime:
        """Walks wall-clock ticks; those around a change of the clock are compared as instants."""
        from croniter import croniter

        zone = ZoneInfo(self.time_zone)
        utc = instant.astimezone(dt.UTC)
        wall = utc.astimezone(zone).replace(tzinfo=None)
        margin = _MAX_CLOCK_CHANGE if forward else -_MAX_CLOCK_CHANGE
        ticks = croniter(self.cron, start_time=wall - margin)
        best: dt.datetime | None = None
        limit = wall
        while True:
            tick: dt.datetime = (ticks.get_next if forward else ticks.get_prev)(dt.datetime)
            if best is not None and (tick > limit if forward else tick < limit):
                return best
            candidate = tick.replace(tzinfo=zone).astimezone(dt.UTC)
            if candidate > utc if forward else candidate < utc:
                # A later tick may come earlier only if the clock changes between them.
                limit = tick + margin if best is None else limit
                best = candidate if best is None else (min if forward else max)(best, candidate)
