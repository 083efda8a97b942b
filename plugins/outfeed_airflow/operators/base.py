"""What all step operators share: the run that a task works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from outfeed_airflow import resolve

if TYPE_CHECKING:
    from airflow.sdk import Context

    from outfeed.steps.context import RunContext

#: Task that plans a run, and the key of the XCom that says where its staging folder is.
PLAN_TASK = "plan"
STAGING_KEY = "staging"


def attempt_token(context: Context) -> str:
    """Unique to this try of this task instance: `<try>-<8 characters of its id>`."""
    task_instance = context["ti"]
    # The last ones: the first ones are the time, which whatever was made in the same minute shares.
    return f"{task_instance.try_number}-{str(task_instance.id)[-8:]}"


class StepOperator(BaseOperator):
    """Runs one step of the library in a planned run. Errors leave as the library raised them: the DAG's
    retry policy tells transient from terminal ones.
    """

    @contextmanager
    def planned_run(self, context: Context) -> Iterator[RunContext]:
        """The plan, staging and ledger of the run, as the task `plan` left them."""
        from outfeed.errors import Action, TerminalError
        from outfeed.staging import Staging
        from outfeed.steps.context import RunContext
        from outfeed.steps.start import read_plan

        uri = context["ti"].xcom_pull(task_ids=PLAN_TASK, key=STAGING_KEY)
        if uri is None:
            raise TerminalError(
                "this run has no plan",
                action=Action.OPERATOR,
                remedy=f"see the log of task {PLAN_TASK!r}, then clear the run from there on",
            )
        attempt = attempt_token(context)
        staging = Staging(resolve.storage_path(uri), attempt)
        with resolve.ledger() as ledger:
            yield RunContext(plan=read_plan(staging), staging=staging, ledger=ledger, attempt=attempt)

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the step on the planned run; its summary becomes the task's XCom."""
        with self.planned_run(context) as run:
            return self.step(run)

    def step(self, run: RunContext) -> dict[str, Any]:
        """Calls the library."""
        raise NotImplementedError
