"""Which window a run exports, and why it takes place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from outfeed.config.models import CustomerConfig
from outfeed.config.problems import did_you_mean
from outfeed.config.schedule import Schedule
from outfeed.errors import Action, ConfigError
from outfeed.plan import Reason
from outfeed.windows import Window, parse_instant
from outfeed_airflow.timetable import window_at


def require_known_keys(dag_run: Any, form: Iterable[str]) -> None:
    """A manual run asks for nothing that its form does not have: it would deliver something else (design §3).

    Raises:
        ConfigError: names the key, and what was probably meant.
    """
    known = sorted(form)
    unknown = sorted(set(dag_run.conf or {}) - set(known)) if dag_run.run_type.value == "manual" else []
    if unknown:
        hint = did_you_mean(unknown[0], known, otherwise=f"known: {', '.join(known)}")
        raise ConfigError(
            f"the run's configuration has the unknown key {unknown[0]!r} ({hint})",
            action=Action.OPERATOR,
            remedy="trigger another run with the right key",
        )


def run_reason(dag_run: Any, params: Mapping[str, Any]) -> Reason:
    """Scheduled and backfill runs are known by their type; for a manual one the form says it."""
    kinds = {"scheduled": Reason.SCHEDULED, "backfill": Reason.BACKFILL}
    return kinds.get(dag_run.run_type.value) or Reason(params["reason"])


def run_window(
    config: CustomerConfig, schedule: Schedule, dag_run: Any, params: Mapping[str, Any], now: dt.datetime
) -> Window:
    """The window of a run: always one that has ended, for whatever way the run was started (design §3).

    A scheduled or backfill run has its data interval. A manual run has the window of its form, else the
    data interval that it was given, else the last complete one, also where Airflow has no logical date.

    Raises:
        ConfigError: half a window, an empty one, or one that has not ended.
    """
    window = _asked_window(dag_run, params)
    if window is None:
        window = config.window(_interval(dag_run) or _last_interval(schedule, dag_run, now))
    if window.end > now:
        raise ConfigError(
            f"the window {window} has not ended",
            action=Action.OPERATOR,
            remedy="ask for a window that ends in the past",
        )
    return window


def _asked_window(dag_run: Any, params: Mapping[str, Any]) -> Window | None:
    start, end = params["window_start"], params["window_end"]
    if dag_run.run_type.value != "manual" or (not start and not end):
        return None
    if not start or not end:
        raise ConfigError(
            "only one end of the window was given",
            action=Action.OPERATOR,
            remedy="give window_start and window_end, or neither for the last complete window",
        )
    return Window(parse_instant(start), parse_instant(end))


def _interval(dag_run: Any) -> Window | None:
    """The run's data interval; a DAG without a schedule has an empty one, which is no window."""
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    return Window(start, end) if start is not None and end is not None and start < end else None


def _last_interval(schedule: Schedule, dag_run: Any, now: dt.datetime) -> Window:
    if schedule.once is not None:
        return schedule.once
    if schedule.rule is None:
        raise ConfigError("the configuration has neither windows nor a window")
    return window_at(schedule.rule, dag_run.logical_date or dag_run.run_after, now)
