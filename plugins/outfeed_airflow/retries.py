"""When a failed task is tried again: the library's errors say it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from outfeed.errors import TerminalError, TransientError

#: Default arguments of every DAG. How often and how soon is the installation's choice, in Airflow's
#: [core] default_task_retries and default_task_retry_delay.
RETRIES: dict[str, Any] = {
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": dt.timedelta(minutes=10),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=TransientError, action=RetryAction.RETRY, reason="a later try may succeed"),
            RetryRule(
                exception=TerminalError, action=RetryAction.FAIL, reason="no retry helps until somebody acts"
            ),
        ]
    ),
}
