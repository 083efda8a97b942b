"""The last task of a run."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from outfeed.config.models import CustomerConfig
from outfeed_airflow.mail import send_mail
from outfeed_airflow.operators.base import PLAN_TASK, STAGING_KEY, StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from outfeed.steps.context import RunContext


class NotifyOperator(StepOperator):
    """Tells everybody once how the run ended, and fails the run if anything is incomplete."""

    def __init__(self, *, customer: str, config: CustomerConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.customer = customer
        self.config = config

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the step; of a run without a plan only our operators are told."""
        if context["ti"].xcom_pull(task_ids=PLAN_TASK, key=STAGING_KEY) is None:
            self._tell_unplanned(context["dag_run"].run_id)
        return super().execute(context)

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.notify import notify

        conn_id = run.plan.customer_config.notify.connection
        return notify(run, lambda message: send_mail(conn_id, message))

    def _tell_unplanned(self, run_id: str) -> None:
        from outfeed.steps.notify import Message

        text = (
            f"The run {run_id} of {self.customer} could not be planned; nothing was read or delivered.\n"
            f"Operators act: see the log of its task {PLAN_TASK!r}, then clear the run.\n"
        )
        compact = re.sub(r"\W", "-", run_id)
        for address in self.config.notify.operators:
            message = Message(
                to=address,
                subject=f"[Outfeed] {self.customer}: NOT PLANNED",
                text=text,
                html=f"<pre>{html.escape(text)}</pre>",
                message_id=f"<not-planned.{self.customer}.{compact}@outfeed>",
            )
            send_mail(self.config.notify.connection, message)
