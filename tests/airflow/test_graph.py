"""What still runs when something fails: the real DAG, with steps that fail at will."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outfeed.errors import TerminalError
from tests.airflow.conftest import CUSTOMER
from tests.airflow.dags import imported
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_db", "home")]

TWO_DESTINATIONS = CUSTOMER + "  - {name: share, type: local, path: acme-share}\n"
SITES = ("3f2b8c1e-5f0a-4d53-9d5e-0a3f5b9e7c11", "8a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d")


class Steps:
    """Stands in for the library's steps: notes what ran, and fails what a test names."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: set[str] = set()

    def run(self, name: str) -> dict[str, Any]:
        self.ran.append(name)
        if name in self.failing:
            raise TerminalError(f"{name} fails because a test says so")
        return {}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Replaces each operator's call of the library, behind planning."""
    from outfeed_airflow.operators import notify, parts

    steps = Steps()

    def group(step: str) -> Callable[..., dict[str, Any]]:
        return lambda self, run: steps.run(f"{step}[{self.group['index']}]")

    monkeypatch.setattr(parts.ExtractOperator, "step", group("extract"))
    monkeypatch.setattr(parts.ValidateOperator, "step", group("validate"))
    monkeypatch.setattr(parts.PackageOperator, "step", group("package"))
    monkeypatch.setattr(notify.NotifyOperator, "step", lambda self, run: steps.run("notify"))
    monkeypatch.setattr(
        "outfeed.steps.preflight_step.preflight", lambda run, name, *_: steps.run(f"preflight.{name}")
    )
    monkeypatch.setattr("outfeed.steps.upload.upload", lambda run, name, *_: steps.run(f"upload.{name}"))
    return steps


def _run(path: Path, conf: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """State of a manual run, and of each of its task instances."""
    (dag,) = imported(path).dags
    run = dag.test(logical_date=dt.datetime.now(dt.UTC), run_conf=conf or {})
    states = {
        ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]": str(ti.state)
        for ti in run.get_task_instances()
    }
    return str(run.state), states


def test_all_goes_well(steps: Steps, customer_file: Callable[..., Path]) -> None:
    # DX-019
    state, states = _run(customer_file(text=TWO_DESTINATIONS))
    assert state == "success"
    assert set(states.values()) == {"success"}
    assert sorted(steps.ran[:-1]) == [
        *["extract[0]", "extract[1]", "package[0]", "package[1]"],
        *["upload.folder", "upload.share", "validate[0]", "validate[1]"],
    ]
    assert steps.ran[-1] == "notify"


def test_nothing_runs_without_a_plan_and_the_run_fails(
    steps: Steps, customer_file: Callable[..., Path]
) -> None:
    conf = {"window_start": "2026-03-05T00:00:00Z"}
    state, states = _run(customer_file(text=TWO_DESTINATIONS), conf)
    assert state == "failed"
    assert steps.ran == []
    assert states == {
        "plan": "failed",
        "parts.extract": "upstream_failed",
        "parts.validate": "upstream_failed",
        "parts.package": "upstream_failed",
        "upload.folder": "upstream_failed",
        "upload.share": "upstream_failed",
        "notify": "failed",
    }


def test_operators_are_told_of_a_run_that_could_not_be_planned(
    steps: Steps, customer_file: Callable[..., Path], smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"from_email": "outfeed@example.com", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(mail))
    told = "notify: {operators: [ops@example.com], customer: [bi@acme.example]}\n"
    state, _ = _run(customer_file(text=CUSTOMER + told), {"window_start": "2026-03-05T00:00:00Z"})
    assert state == "failed"
    (received,) = smtp.mails
    assert received.recipients == ("ops@example.com",)
    assert received.message["Subject"] == "[Outfeed] acme: NOT PLANNED"


def test_a_failed_group_stops_neither_the_other_group_nor_the_uploads(
    steps: Steps, customer_file: Callable[..., Path]
) -> None:
    # XX-07, design §2: a failed part does not hold up the others
    steps.failing = {"extract[0]", "notify"}
    state, states = _run(customer_file(text=TWO_DESTINATIONS))
    assert states["parts.extract[0]"] == "failed"
    assert {task for task, ended in states.items() if ended == "success"} >= {
        *["parts.extract[1]", "parts.validate[1]", "parts.package[1]"],
        # Its other parts may have been read: the rest of the group goes on with them.
        *["parts.validate[0]", "parts.package[0]", "upload.folder", "upload.share"],
    }
    assert state == "failed"


def test_a_failed_destination_stops_no_other(steps: Steps, customer_file: Callable[..., Path]) -> None:
    # XX-07
    steps.failing = {"upload.folder", "notify"}
    state, states = _run(customer_file(text=TWO_DESTINATIONS))
    assert (states["upload.folder"], states["upload.share"]) == ("failed", "success")
    assert steps.ran[-1] == "notify"
    assert state == "failed"


def test_a_failed_preflight_stops_no_other_destination(
    steps: Steps, customer_file: Callable[..., Path]
) -> None:
    # DX-088, XX-07
    steps.failing = {"preflight.folder", "upload.folder", "notify"}
    state, states = _run(customer_file(text=TWO_DESTINATIONS.replace("state: live", "state: draft")))
    assert state == "failed"
    assert (states["preflight.folder"], states["preflight.share"]) == ("failed", "success")
    # The upload says in the ledger and the mails what the preflight found.
    assert (states["upload.folder"], states["upload.share"]) == ("failed", "success")
    assert steps.ran.index("preflight.folder") < steps.ran.index("upload.folder")


def test_a_run_may_leave_out_sites_and_destinations(steps: Steps, customer_file: Callable[..., Path]) -> None:
    state, states = _run(
        customer_file(text=TWO_DESTINATIONS), {"sites": [SITES[1]], "destinations": ["share"]}
    )
    assert state == "success"
    assert (states["upload.folder"], states["upload.share"]) == ("skipped", "success")
    assert [task for task in states if task.startswith("parts.extract")] == ["parts.extract[0]"]
