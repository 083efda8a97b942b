"""Which window a run exports, for each way in which it can be started."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from outfeed.errors import Action, ConfigError
from outfeed.plan import Reason
from outfeed.windows import Window
from tests.airflow.dags import config

pytestmark = pytest.mark.airflow

NOW = dt.datetime(2026, 5, 10, 9, 30, tzinfo=dt.UTC)
YESTERDAY = Window(dt.datetime(2026, 5, 8, 22, tzinfo=dt.UTC), dt.datetime(2026, 5, 9, 22, tzinfo=dt.UTC))
EARLIER = Window(dt.datetime(2026, 5, 1, 22, tzinfo=dt.UTC), dt.datetime(2026, 5, 3, 22, tzinfo=dt.UTC))
NOTHING: dict[str, Any] = {"window_start": None, "window_end": None, "reason": "manual"}


def _run(kind: str, window: Window | None = None, **values: Any) -> Any:
    from airflow.utils.types import DagRunType

    given = {
        "run_type": DagRunType(kind),
        "logical_date": window and window.start,
        "data_interval_start": window and window.start,
        "data_interval_end": window and window.end,
        "run_after": NOW,
    }
    return SimpleNamespace(**{**given, **values})


def _window(dag_run: Any, params: dict[str, Any] = NOTHING, **changes: Any) -> Window:
    from outfeed_airflow.run_window import run_window

    made = config(**changes)
    return run_window(made, made.all_schedules()[0], dag_run, params, NOW)


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_scheduled_and_backfill_runs_have_their_interval_whatever_the_form_says(kind: str) -> None:
    # XX-02
    asked = {**NOTHING, "window_start": "2026-01-01T00:00:00Z", "window_end": "2026-01-02T00:00:00Z"}
    assert _window(_run(kind, EARLIER), asked) == EARLIER


def test_a_manual_run_without_anything_has_the_last_complete_window() -> None:
    # The API sends no logical date unless asked; then Airflow has no interval either.
    assert _window(_run("manual")) == YESTERDAY


def test_a_manual_run_of_a_draft_has_the_last_complete_window() -> None:
    # DX-005: a draft has no schedule, so Airflow gives its manual runs an empty interval.
    empty = {"logical_date": NOW, "data_interval_start": NOW, "data_interval_end": NOW}
    assert _window(_run("manual", **empty), state="draft") == YESTERDAY


def test_the_form_names_any_window() -> None:
    asked = {
        **NOTHING,
        "window_start": "2026-05-02T00:00:00+02:00",
        "window_end": "2026-05-04T00:00:00+02:00",
    }
    assert _window(_run("manual", YESTERDAY), {**NOTHING, **asked}) == EARLIER


def test_a_one_time_export_has_its_window() -> None:
    # DX-017
    once = {"interval": "once", "start_date": "2026-05-02", "end_date": "2026-05-04"}
    assert _window(_run("manual"), state="draft", **once) == EARLIER


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-05-02T00:00:00Z", None, "only one end"),
        ("2026-05-02T00:00:00Z", "2026-05-02T00:00:00Z", "not after its start"),
        ("2026-05-09T00:00:00Z", "2026-05-11T00:00:00Z", "has not ended"),
        ("2026-05-02T00:00:00", "2026-05-03T00:00:00", "no offset"),
    ],
)
def test_a_window_that_can_not_be_exported_is_refused(start: str, end: str | None, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        _window(_run("manual"), {**NOTHING, "window_start": start, "window_end": end})
    assert caught.value.action in (Action.OPERATOR, Action.ENGINEER)


@pytest.mark.parametrize(
    ("kind", "said", "reason"),
    [
        ("scheduled", "manual", Reason.SCHEDULED),
        ("backfill", "test", Reason.BACKFILL),
        ("manual", "manual", Reason.MANUAL),
        ("manual", "test", Reason.TEST),
    ],
)
def test_the_reason_of_a_run(kind: str, said: str, reason: Reason) -> None:
    from outfeed_airflow.run_window import run_reason

    assert run_reason(_run(kind), {"reason": said}) is reason


def test_a_manual_run_with_a_misspelt_key_is_refused() -> None:
    from outfeed_airflow.run_window import require_known_keys

    with pytest.raises(ConfigError, match=r"unknown key 'window_strat' \(did you mean 'window_start'\?\)"):
        require_known_keys(_run("manual", conf={"window_strat": "2026-01-01", "reason": "test"}), NOTHING)
    with pytest.raises(ConfigError, match=r"'day' \(known: reason, window_end, window_start\)"):
        require_known_keys(_run("manual", conf={"day": "2026-01-01"}), NOTHING)


@pytest.mark.parametrize("conf", [None, {}, {"reason": "test"}])
def test_a_manual_run_may_leave_out_whatever_it_likes(conf: dict[str, Any] | None) -> None:
    from outfeed_airflow.run_window import require_known_keys

    require_known_keys(_run("manual", conf=conf), NOTHING)
