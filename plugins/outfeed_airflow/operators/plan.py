"""The first task of a run."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import BaseOperator

from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed.staging import Staging, path_component
from outfeed_airflow import resolve
from outfeed_airflow.operators.base import STAGING_KEY, attempt_token
from outfeed_airflow.run_window import require_known_keys, run_reason, run_window

if TYPE_CHECKING:
    from airflow.sdk import Context

    from outfeed.plan import Plan


#: What the form of a manual run calls the kind's subjects.
SUBJECT_PARAMS = {"site": "sites", "entity": "entities"}


class Group(TypedDict):
    """What one mapped task instance works on: `holds` is its name in the UI."""

    index: int
    holds: str


class PlanOperator(BaseOperator):
    """Writes the run's immutable plan, the only thing that later tasks read: an edited YAML changes no run
    under way. Returns one `Group` per mapped task instance.
    """

    def __init__(
        self, *, customer: str, config: CustomerConfig, schedule: Schedule, config_file: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.customer = customer
        self.config = config
        self.schedule = schedule
        self.config_file = config_file

    def execute(self, context: Context) -> list[Group]:
        """Plans the run and brings the ledger's tables up to date."""
        from outfeed.planning import RunRequest
        from outfeed.steps.start import start

        params, dag_run = context["params"], context["dag_run"]
        require_known_keys(dag_run, self.dag.params)
        attempt = attempt_token(context)
        now = dt.datetime.now(dt.UTC)
        request = RunRequest(
            customer=self.customer,
            schedule=self.schedule,
            window=run_window(self.config, self.schedule, dag_run, params, now),
            run_id=library_run_id(dag_run, self.schedule),
            reason=run_reason(dag_run, params),
            now=now,
            subjects=params[SUBJECT_PARAMS[self.config.subject]],
            destinations=params["destinations"],
        )
        folder = resolve.staging_root() / self.customer / path_component(request.run_id)
        staging = Staging(folder, attempt)
        with resolve.ledger() as ledger:
            ledger.migrate()
            plan = start(
                request,
                config=self.config,
                config_file=self.config_file,
                staging=staging,
                ledger=ledger,
                attempt=attempt,
            )
        context["ti"].xcom_push(STAGING_KEY, str(folder))
        return groups(plan)


def library_run_id(dag_run: Any, schedule: Schedule) -> str:
    """The run's id for the library. A run that is cleared as a whole plans and reads its source anew, so it
    needs a name of its own; its retries and single cleared tasks keep what is there. Runs of a customer's
    several DAGs may have the same id in Airflow.
    """
    run_id = f"{schedule.name}~{dag_run.run_id}" if schedule.name else str(dag_run.run_id)
    return f"{run_id}~{dag_run.clear_number}" if dag_run.clear_number else run_id


def groups(plan: Plan) -> list[Group]:
    """The plan's groups, each named by its first part."""
    return [
        Group(index=index, holds=keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more")
        for index, keys in enumerate(plan.groups)
    ]
