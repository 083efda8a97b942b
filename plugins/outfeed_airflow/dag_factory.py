"""A customer's configuration becomes a DAG: the same graph for all, but for the names of destinations."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup, task_group

from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed_airflow.operators.base import PLAN_TASK
from outfeed_airflow.operators.notify import NotifyOperator
from outfeed_airflow.operators.parts import ExtractOperator, PackageOperator, ValidateOperator
from outfeed_airflow.operators.plan import SUBJECT_PARAMS, PlanOperator
from outfeed_airflow.operators.upload import UPLOAD_OPERATORS, PreflightOperator
from outfeed_airflow.retries import RETRIES
from outfeed_airflow.timetable import ExportWindowTimetable, OnceWindowTimetable

#: Runs of one customer at a time; a backfill has its own limit.
MAX_ACTIVE_RUNS = 2

#: One broken group must hold up neither the others nor a destination, but nothing may run without a plan. All
#: tasks of this rule have `plan` directly above them: its success is the one that the rule asks for.
_WHATEVER_ELSE_FAILED = "all_done_min_one_success"

#: A task that hangs is ended, tried again, and in the end reported. Large deliveries take hours.
_SHORT = dt.timedelta(minutes=15)
_LONG = dt.timedelta(hours=12)


def build_dags(customer: str, config: CustomerConfig, config_file: str) -> list[DAG]:
    """A DAG per schedule of the customer (VI-031).

    Parsing this touches no database, no network and no connection (design §7).
    """
    return [build_dag(customer, config, schedule, config_file) for schedule in config.all_schedules()]


def build_dag(customer: str, config: CustomerConfig, schedule: Schedule, config_file: str) -> DAG:
    """One DAG: plan → parts (extract → validate → package, a group each) → uploads → notify.

    A draft's also has a preflight of each destination, beside the parts.
    """
    with DAG(
        dag_id=schedule.dag_id(customer),
        schedule=_timetable(config, schedule),
        start_date=config.first_instant,
        # A scheduler that was down for a week owes the customer seven windows. The timetable sees to that;
        # Airflow does not let a DAG without a start date say so.
        catchup=config.first_instant is not None,
        max_active_runs=MAX_ACTIVE_RUNS,
        is_paused_upon_creation=False,
        # Work that has begun goes before new work, so that runs end and their staging can go.
        default_args={**RETRIES, "weight_rule": "upstream"},
        description=config.description or f"Export of {config.type} to {customer}",
        doc_md=_doc(customer, config, schedule, config_file),
        tags=[config.type, config.state],
    ) as dag:
        plan = PlanOperator(
            task_id=PLAN_TASK,
            customer=customer,
            config=config,
            schedule=schedule,
            config_file=config_file,
            execution_timeout=_SHORT,
        )
        parts = _parts(plan, config)
        uploads = _uploads(plan, config, schedule)
        notify = NotifyOperator(
            task_id="notify",
            customer=customer,
            config=config,
            trigger_rule="all_done",
            execution_timeout=_SHORT,
        )
        plan >> uploads
        parts >> uploads >> notify
    # Each task would take a copy of the form with it, and Airflow checks each copy's schemas in each parse.
    dag.params = _form(config, schedule)
    return dag


def _timetable(
    config: CustomerConfig, schedule: Schedule
) -> ExportWindowTimetable | OnceWindowTimetable | None:
    """Only a live customer runs by itself (DX-005)."""
    if config.state == "draft":
        return None
    if schedule.once is not None:
        return OnceWindowTimetable(schedule.once, config.release_delay)
    if schedule.rule is not None:
        return ExportWindowTimetable(schedule.rule.cron, schedule.rule.time_zone, config.release_delay)
    return None


def _parts(plan: PlanOperator, config: CustomerConfig) -> Any:
    """One mapped instance of the three steps for each group; each goes on without waiting for the others."""

    @task_group(group_id="parts")
    def parts(group: Any) -> None:
        extract = ExtractOperator(
            task_id="extract",
            group=group,
            pool=f"source_{config.source.connection}",
            execution_timeout=_LONG,
        )
        validate = ValidateOperator(
            task_id="validate", group=group, trigger_rule=_WHATEVER_ELSE_FAILED, execution_timeout=_LONG
        )
        package = PackageOperator(
            task_id="package", group=group, trigger_rule=_WHATEVER_ELSE_FAILED, execution_timeout=_LONG
        )
        extract >> validate >> package
        plan >> [validate, package]

    return parts.expand(group=plan.output)


def _uploads(plan: PlanOperator, config: CustomerConfig, schedule: Schedule) -> TaskGroup:
    """A task per destination; a draft's runs are test exports, so a preflight precedes it there (DX-088)."""
    with TaskGroup("upload") as uploads:
        delivering = {
            destination.name: UPLOAD_OPERATORS[destination.type](
                task_id=destination.name,
                destination=destination.name,
                pool=destination.pool_name(),
                trigger_rule=_WHATEVER_ELSE_FAILED,
                execution_timeout=_LONG,
            )
            for destination in config.receivers(schedule)
        }
    if config.state == "draft":
        with TaskGroup("preflight"):
            for destination in config.receivers(schedule):
                tested = PreflightOperator(
                    task_id=destination.name,
                    destination=destination.name,
                    pool=destination.pool_name(),
                    execution_timeout=_SHORT,
                )
                plan >> tested >> delivering[destination.name]
    return uploads


def _form(config: CustomerConfig, schedule: Schedule) -> dict[str, Param]:
    """What a person may choose for a manual run; everything may be left as it is."""
    instant: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    draft = config.state == "draft"
    subjects = SUBJECT_PARAMS[config.subject]
    return {
        "window_start": Param(
            None,
            title="Window from",
            description="Begin of the window, included. Leave both empty for the last complete window.",
            **instant,
        ),
        "window_end": Param(
            None, title="Window to", description="End of the window, not included.", **instant
        ),
        subjects: _choice(subjects.capitalize(), list(config.subjects(schedule))),
        "destinations": _choice("Destinations", [d.name for d in config.receivers(schedule)]),
        "reason": Param(
            "test" if draft else "manual",
            type="string",
            enum=["test"] if draft else ["manual", "test"],
            title="Reason",
            description="`test` validates destinations before their first regular delivery.",
        ),
        "note": Param("", type="string", title="Note", description="Kept with the run, for your colleagues."),
    }


def _choice(title: str, known: list[str]) -> Param:
    return Param(
        [],
        type="array",
        items={"type": "string", "enum": known},
        examples=known,
        title=title,
        description="None chosen means all.",
    )


def _doc(customer: str, config: CustomerConfig, schedule: Schedule, config_file: str) -> str:
    rows = [
        f"| {d.name} | {d.type} | `{d.location()}` | {'yes' if d.export_images else 'no'} |"
        for d in config.receivers(schedule)
    ]
    return "\n".join(
        [
            f"# {customer}",
            "",
            config.description,
            "",
            f"- **State**: {config.state}",
            f"- **Exports**: {config.summary()}",
            f"- **Windows**: `{schedule.intervals()}`, released after {config.release_delay}",
            f"- **First day**: {config.start_date or 'when it went live'}",
            f"- **Source**: connection `{config.source.connection}`",
            f"- **File**: `{config_file}`",
            "",
            "| Destination | Connector | Place | Images |",
            "|---|---|---|---|",
            *rows,
        ]
    )
