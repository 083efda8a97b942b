"""Customers of platform data: a DAG per schedule, with the entities and places of that schedule only."""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG

from outfeed.config.platform_data import PlatformDataConfig
from outfeed_airflow.dag_factory import build_dags
from outfeed_airflow.timetable import ExportWindowTimetable

PLACES = [
    {"name": "box", "type": "local", "path": "acme"},
    {"name": "few", "type": "local", "path": "few", "delivery": "users"},
]


def dags(**changes: object) -> dict[str, DAG]:
    values = {
        "type": "platform-data",
        "state": "live",
        "source": {"connection": "platform_db"},
        "destinations": PLACES,
    }
    config = PlatformDataConfig.model_validate(values | changes)
    return {dag.dag_id: dag for dag in build_dags("acme", config, "customers/acme.yaml")}


def test_a_customer_that_is_not_live_has_no_schedule() -> None:
    # VI-003
    assert {dag.timetable.can_be_scheduled for dag in dags(state="draft").values()} == {False}
    assert {dag.timetable.can_be_scheduled for dag in dags().values()} == {True}


def test_a_dag_per_distinct_schedule() -> None:
    # VI-026 VI-027 VI-029 VI-031
    found = dags(schedules={"assets": "5 6 * * *", "tags": "5 6 * * *", "audits": ""}, release_delay="7m")
    assert set(found) == {
        "acme__10_0_x_x_x",
        "acme__15_0_x_x_x",
        "acme__20_0_x_x_x",
        "acme__5_6_x_x_x",
    }
    timetable = found["acme__5_6_x_x_x"].timetable
    assert isinstance(timetable, ExportWindowTimetable)
    assert (timetable.rule.cron, timetable.rule.time_zone) == ("5 6 * * *", "UTC")
    assert timetable.delay == dt.timedelta(minutes=7)
    assert found["acme__5_6_x_x_x"].params.get_param("entities").schema["examples"] == ["assets", "tags"]


def test_a_place_has_a_task_where_it_receives_something() -> None:
    # VI-D07 VI-D16
    found = dags()
    assert "upload.few" in found["acme__20_0_x_x_x"].task_ids
    assert "upload.few" not in found["acme__10_0_x_x_x"].task_ids
    assert all("upload.box" in dag.task_ids for dag in found.values())


def test_all_customers_have_the_same_graph() -> None:
    # All entities of a run are one group: only so do they see one state of the database.
    (one,) = dags(entities="audits", destinations=PLACES[:1]).values()
    assert {"plan", "parts.extract", "parts.validate", "parts.package", "upload.box", "notify"} <= set(
        one.task_ids
    )
    assert one.get_task("parts.extract").pool == "source_platform_db"
