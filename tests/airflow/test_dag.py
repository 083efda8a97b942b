"""What a customer's DAG looks like, without running it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from outfeed.connectors import CONNECTORS
from outfeed.errors import Action, ConfigError, SupersededError, TerminalError, TransientError
from tests.airflow.dags import dag_of, stored

pytestmark = pytest.mark.airflow

LOCAL = {"name": "folder", "type": "local", "path": "acme"}
SHARE = {"name": "share", "type": "local", "path": "acme-share", "export_images": True}


def _graph(dag: Any) -> dict[str, set[str]]:
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}


def _without_destinations(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    def short(task: str) -> str:
        return "upload" if task.startswith("upload.") else task

    return {short(task): {short(above) for above in upstream} for task, upstream in graph.items()}


def test_the_graph() -> None:
    # DX-019: what is generated is also sent, in the same run
    assert _graph(dag_of(destinations=[LOCAL, SHARE])) == {
        "plan": set(),
        "parts.extract": {"plan"},
        "parts.validate": {"plan", "parts.extract"},
        "parts.package": {"plan", "parts.validate"},
        "upload.folder": {"plan", "parts.package"},
        "upload.share": {"plan", "parts.package"},
        "notify": {"upload.folder", "upload.share"},
    }


def test_a_draft_tests_each_destination_before_its_upload_and_beside_the_parts() -> None:
    # DX-088
    dag = dag_of(state="draft", destinations=[LOCAL, SHARE])
    live = _graph(dag_of(destinations=[LOCAL, SHARE]))
    assert _graph(dag) == live | {
        "preflight.folder": {"plan"},
        "preflight.share": {"plan"},
        "upload.folder": live["upload.folder"] | {"preflight.folder"},
        "upload.share": live["upload.share"] | {"preflight.share"},
    }
    pools = {task.task_id: task.pool for task in dag.tasks}
    assert pools["preflight.folder"] == pools["upload.folder"]


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": "once", "end_date": "2026-03-05"},
        {"interval": None, "cron": "0 */6 * * *", "start_date": None},
        {"destinations": [LOCAL, SHARE]},
        {"export_type": "work-orders-states", "empty_window": "none"},
    ],
)
def test_the_graph_is_the_same_for_every_customer_but_for_destinations(changes: dict[str, Any]) -> None:
    assert _without_destinations(_graph(dag_of(**changes))) == _without_destinations(_graph(dag_of()))


def test_every_connector_has_an_operator_of_its_own() -> None:
    from outfeed_airflow.operators import upload

    names = {kind: operator.__name__ for kind, operator in upload.UPLOAD_OPERATORS.items()}
    assert names.keys() == CONNECTORS.keys()
    assert len(set(names.values())) == len(CONNECTORS)
    assert names["sftp"] == "SftpUploadOperator"
    (task,) = [task for task in stored(dag_of()).tasks if task.task_id == "upload.folder"]
    assert task.task_type == "LocalUploadOperator"


def test_pools_bound_the_work_on_each_source_and_destination() -> None:
    pools = {task.task_id: task.pool for task in stored(dag_of()).tasks}
    assert pools["parts.extract"] == "source_platform_db"
    assert pools["upload.folder"] == "destination_local"


def test_every_task_ends_some_day_and_takes_its_retries_from_the_installation() -> None:
    from airflow.configuration import conf

    for task in stored(dag_of()).tasks:
        assert task.execution_timeout is not None, task.task_id
        assert task.retries == conf.getint("core", "default_task_retries") > 0
        assert task.retry_delay == dt.timedelta(seconds=conf.getint("core", "default_task_retry_delay"))
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == dt.timedelta(minutes=10)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (TransientError("the line dropped"), "RETRY"),
        (TerminalError("no such bucket", action=Action.CUSTOMER), "FAIL"),
        (ConfigError("no such site"), "FAIL"),
        (SupersededError("a newer try has begun"), "FAIL"),
        (ValueError("a bug"), "DEFAULT"),
    ],
)
def test_only_what_a_later_try_can_mend_is_tried_again(error: Exception, action: str) -> None:
    for task in dag_of().tasks:
        assert task.retry_policy.evaluate(error, 1, 3).action.name == action


def test_a_live_customer_runs_by_itself_from_the_moment_its_file_is_there() -> None:
    # DX-001
    dag = stored(dag_of())
    assert dag.timetable.can_be_scheduled
    assert dag.is_paused_upon_creation is False


def test_a_draft_never_runs_by_itself_and_offers_only_test_runs() -> None:
    # DX-005
    dag = stored(dag_of(state="draft"))
    assert not dag.timetable.can_be_scheduled
    assert dag.params.get_param("reason").dump()["schema"]["enum"] == ["test"]
    assert dag.params["reason"] == "test"


def test_the_form_offers_this_customers_sites_and_destinations() -> None:
    from airflow.exceptions import ParamValidationError

    dag = dag_of(destinations=[LOCAL, SHARE])
    dag.params.validate()
    form = {name: dag.params.get_param(name) for name in dag.params}
    assert list(form) == ["window_start", "window_end", "sites", "destinations", "reason", "note"]
    assert form["destinations"].schema["examples"] == ["folder", "share"]
    assert form["destinations"].resolve(["share"]) == ["share"]
    with pytest.raises(ParamValidationError):
        form["destinations"].resolve(["nowhere"])
    with pytest.raises(ParamValidationError):
        form["window_start"].resolve("yesterday")


def test_the_page_of_a_dag_says_where_its_data_goes() -> None:
    text = dag_of(description="Daily for Acme", destinations=[LOCAL, SHARE]).doc_md
    assert "Daily for Acme" in text
    assert "| share | local | `local:acme-share` | yes |" in text
    assert "customers/acme.yaml" in text
