"""Customers come, change, break and go while Airflow runs."""

from __future__ import annotations

import pytest

from tests.system.conftest import CUSTOMER, OTHERS, SITE, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

BROKEN = {
    "wrong-key": (CUSTOMER.replace("time_zone", "timezone"), ":3:1:", "time_zone"),
    "bad-uuid": (CUSTOMER.replace(SITE, "not-a-uuid"), ":6:5:", "not-a-uuid"),
    "secret": (CUSTOMER + "    password: hunter2\n", ":13:5:", "password"),
    "syntax": (CUSTOMER.replace("source:", "source: ["), ":9:", "syntax"),
}


def test_broken_customers_are_errors_of_their_own_and_all_others_run_on(site: Site) -> None:
    # XX-07, XX-06, DX-010, DX-016
    for name, (text, _, _) in BROKEN.items():
        site.add(name, text)
    site.wait("four import errors", lambda: len(site.rest.import_errors()) >= 4)
    site.wait("twenty other customers", lambda: set(OTHERS) <= site.rest.dag_ids())

    errors = site.rest.import_errors()
    assert set(errors) == {f"customers/{name}.yaml" for name in BROKEN}
    for name, (_, place, word) in BROKEN.items():
        text = errors[f"customers/{name}.yaml"]
        assert f"customers/{name}.yaml{place}" in text
        assert word in text.lower()
        assert "Traceback" not in text
        assert "hunter2" not in text

    for name in BROKEN:
        site.add(name)
    site.wait("the errors to go", lambda: not site.rest.import_errors())
    site.wait("the mended customers", lambda: set(BROKEN) <= site.rest.dag_ids())
    for name in BROKEN:
        (site.customers / f"{name}.yaml").unlink()
    site.wait("the removed customers to go", lambda: not set(BROKEN) & site.rest.dag_ids())


def test_an_edit_is_live_within_moments_also_the_second_one(site: Site) -> None:
    """Airflow's default stores no second edit for 30 s, so the third would not show the second was lost."""
    file = site.customers / "other-00.yaml"
    for word in ("first", "second", "third"):
        file.write_text(f"{CUSTOMER}description: the {word} edit\n")
        site.wait(
            f"the {word} edit",
            lambda word=word: site.rest.request("GET", "/dags/other-00")["description"] == f"the {word} edit",
            seconds=25,
        )


def test_airflow_scans_one_plugin_file_and_no_other(site: Site) -> None:
    """Airflow imports every Python file below plugins/ under its bare name unless it is told not to."""
    assert site.rest.request("GET", "/plugins/importErrors")["import_errors"] == []
    ours = [p for p in site.rest.request("GET", "/plugins")["plugins"] if p["name"] == "outfeed"]
    assert [len(plugin["timetables"]) for plugin in ours] == [2]
    log = (site.airflow.home / "logs" / "scheduler.log").read_text()
    assert "Error while calling listener" not in log


def test_a_draft_never_runs_by_itself(site: Site) -> None:
    # DX-005
    site.wait("the customers", lambda: set(OTHERS) <= site.rest.dag_ids())
    assert [run for name in OTHERS for run in site.rest.runs(name)] == []
