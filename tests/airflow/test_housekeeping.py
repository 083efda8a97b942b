"""The DAG that keeps house, and whom it tells of late windows."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from outfeed.errors import TerminalError
from outfeed.ledger.unfinished import KEPT, UploadKey
from outfeed.steps.housekeeping import LateWindow
from outfeed.windows import Window
from outfeed_airflow import resolve
from scripts.airflow_local import ROOT
from tests.airflow.conftest import CUSTOMER
from tests.airflow.dags import config

pytestmark = pytest.mark.airflow

NOW = dt.datetime(2026, 5, 10, 5, 17, tzinfo=dt.UTC)


def test_it_is_a_daily_dag_whose_name_no_customer_can_take() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags" / "housekeeping.py", bundle_path=ROOT / "dags", bundle_name="outfeed")
    assert bag.import_errors == {}
    dag = bag.dags["outfeed.housekeeping"]
    assert {task.task_id for task in dag.tasks} == {"expire", "expire_links", "end_uploads", "lateness"}
    assert all(task.execution_timeout for task in dag.tasks)


def test_stale_uploads_end_at_the_places_that_customers_still_name(home: Path, tmp_path: Path) -> None:
    # XX-03
    from outfeed_airflow.operators.housekeeping import EndUploadsOperator

    folder = tmp_path / "customers"
    folder.mkdir()
    (folder / "acme.yaml").write_text(CUSTOMER)
    long_ago = dt.datetime.now(dt.UTC) - KEPT - dt.timedelta(minutes=1)
    named, former = (
        UploadKey("acme", place, "a.csv", 1, "0" * 64) for place in ("local:acme", "s3://former/")
    )
    with resolve.ledger() as ledger:
        ledger.migrate()
        fence = ledger.begin_attempt("acme", "run-1", "upload", "folder", "try-1")
        for key in (named, former):
            ledger.unfinished.save(fence, key, "state", long_ago)
        task = EndUploadsOperator(task_id="end_uploads", customers=folder)
        assert task.execute({}) == {"ended": 1, "kept": 1, "given_up": 0}  # type: ignore[typeddict-item]
        assert [ledger.unfinished.state(key) for key in (named, former)] == [None, "state"]


def test_late_windows_fail_the_task_and_a_broken_customer_hides_no_other(home: Path, tmp_path: Path) -> None:
    from outfeed_airflow.operators.housekeeping import LatenessOperator

    folder = tmp_path / "customers"
    folder.mkdir()
    (folder / "broken.yaml").write_text("type: [")
    (folder / "acme.yaml").write_text(CUSTOMER)
    task = LatenessOperator(task_id="lateness", customers=folder)
    with pytest.raises(TerminalError, match="windows are late, the first: acme:"):
        task.execute({})  # type: ignore[typeddict-item]
    shutil.rmtree(folder)
    folder.mkdir()
    assert task.execute({}) == {"customers": 0}  # type: ignore[typeddict-item]


def test_each_operator_gets_one_mail_with_the_windows_of_their_customers() -> None:
    # XX-07
    from outfeed_airflow.operators.housekeeping import late_messages

    day = Window(NOW - dt.timedelta(days=2), NOW - dt.timedelta(days=1))
    configs = {
        "acme": config(notify={"operators": ["ann@example.com", "bob@example.com"]}),
        "borealis": config(notify={"operators": ["ann@example.com"], "connection": "other_mail"}),
        "quiet": config(),
    }
    late = [LateWindow(name, "folder", day) for name in configs]
    messages = late_messages(late, configs, NOW)
    assert [(connection, message.to, message.text.count("\n\n")) for connection, message in messages] == [
        ("other_mail", "ann@example.com", 1),
        ("smtp_default", "ann@example.com", 1),
        ("smtp_default", "bob@example.com", 1),
    ]
    assert "borealis" in messages[0][1].text
    assert "borealis" not in messages[1][1].text + messages[2][1].text
