"""Runs as the scheduler makes them, in processes of their own."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest

from outfeed.ledger import Ledger
from outfeed.ledger.records import RunState
from outfeed.windows import Window, WindowRule
from tests.system.conftest import CUSTOMER, SITE, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

POOLS = {"source_platform_db": 4, "destination_local": 4}
RULE = WindowRule("0 0 * * *", "Europe/Paris")


def _ledger(site: Site) -> Ledger:
    return Ledger(f"sqlite:///{site.airflow.home / 'ledger.db'}")


def test_from_a_dropped_in_file_to_a_nightly_delivery(site: Site) -> None:
    # DX-001, DX-002, DX-005, DX-018, DX-019, DX-088, DX-089, XX-08, XX-10
    rest, name = site.rest, "acme"
    last = RULE.last_complete(dt.datetime.now(dt.UTC))
    assert "source_platform_db" not in rest.pools(), "this Airflow was set up without our pools"
    file = site.add(name, CUSTOMER.replace("path: shared", "path: acme"))
    site.wait("the new customer", lambda: name in rest.dag_ids())

    with pytest.raises(httpx.HTTPStatusError, match="400"):
        rest.trigger(name, conf={"reason": "manual"})
    test = rest.trigger(name, conf={"note": "first look"})  # no window, no logical date, as the API does it
    assert rest.wait_for_run(name, test) == "success", rest.task_states(name, test)
    assert {pool: slots for pool, slots in rest.pools().items() if pool in POOLS} == POOLS
    assert rest.labels(name, test) == {f"work-orders-timeline/{SITE}"}, "the UI says what a task works on"
    assert len(rest.runs(name)) == 1, "a draft runs only when it is asked"

    changed = {"pool": "destination_local", "slots": 2, "include_deferred": False}
    rest.request("PATCH", "/pools/destination_local", json=changed)
    file.write_text(file.read_text().replace("state: draft", "state: live"))
    night = site.wait(
        "the scheduled run", lambda: [run for run in rest.runs(name) if run["run_type"] == "scheduled"]
    )[0]["dag_run_id"]
    assert rest.wait_for_run(name, night) == "success", rest.task_states(name, night)
    assert rest.pools()["destination_local"] == 2, "what an operator has set stays"

    runs = {run.run_id: run for run in _ledger(site).runs(name)}
    assert {run.reason for run in runs.values()} == {"test", "scheduled"}
    assert {Window(run.start, run.end) for run in runs.values()} == {last}
    assert {run.state for run in runs.values()} == {RunState.COMPLETE}
    delivered = list((site.airflow.home / "delivered" / "acme").rglob("*.json"))
    assert len(delivered) == 1, "the scheduled run found that the test export had delivered the same"
    assert delivered[0].read_text().count("\n") > 0


def test_a_backfill_of_local_days_and_a_run_that_is_cleared_as_a_whole(site: Site) -> None:
    # DX-018, XX-02, XX-03
    rest, name = site.rest, "borealis"
    text = CUSTOMER.replace("path: shared", "path: borealis").replace("state: draft", "state: live")
    last = RULE.last_complete(dt.datetime.now(dt.UTC))
    before = RULE.last_complete(last.start)
    site.add(name, text)
    site.wait("the new customer", lambda: name in rest.dag_ids())
    first = site.wait("its first run", lambda: rest.runs(name))[0]["dag_run_id"]
    rest.wait_for_run(name, first)

    rest.backfill(name, before.start.isoformat(), before.start.isoformat())
    run = site.wait("the backfill", lambda: [r for r in rest.runs(name) if r["run_type"] == "backfill"])[0]
    assert rest.wait_for_run(name, run["dag_run_id"]) == "failed", "nobody has tested this destination"
    test = rest.trigger(name, conf={"reason": "test"})
    assert rest.wait_for_run(name, test) == "success"

    rest.request(
        "POST", f"/dags/{name}/dagRuns/{run['dag_run_id'].replace('+', '%2B')}/clear", json={"dry_run": False}
    )
    assert rest.wait_for_run(name, run["dag_run_id"]) == "success"
    passes = [r for r in _ledger(site).runs(name) if r.run_id.startswith(run["dag_run_id"])]
    assert {r.run_id.removeprefix(run["dag_run_id"]) for r in passes} == {"", "~1"}
    assert {r.reason for r in passes} == {"backfill"}
    assert {Window(r.start, r.end) for r in passes} == {before}
