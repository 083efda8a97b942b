"""Airflow DAG that keeps house once a day: removes what has expired, finds windows that nobody delivered."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from outfeed_airflow.operators.housekeeping import (
    EndUploadsOperator,
    ExpireLinksOperator,
    ExpireOperator,
    LatenessOperator,
)
from outfeed_airflow.retries import RETRIES

CUSTOMERS = Path(__file__).parent / "customers"

# A customer's name has no dot, so no customer can take this id.
with DAG(
    dag_id="outfeed.housekeeping",
    schedule=CronTriggerTimetable("17 5 * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={**RETRIES, "execution_timeout": dt.timedelta(hours=2)},
    doc_md=__doc__,
    tags=["outfeed"],
):
    ExpireOperator(task_id="expire")
    ExpireLinksOperator(task_id="expire_links")
    EndUploadsOperator(task_id="end_uploads", customers=CUSTOMERS)
    LatenessOperator(task_id="lateness", customers=CUSTOMERS)
