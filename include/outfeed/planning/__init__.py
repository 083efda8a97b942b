"""Config plus window gives a plan; the same config and window give the same plan (XX-02)."""

from __future__ import annotations

import datetime as dt

from outfeed.config.models import MAX_SPAN_DAYS, CustomerConfig
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.errors import Action, ConfigError
from outfeed.plan import Plan
from outfeed.planning.platform_data import plan_platform_data
from outfeed.planning.request import History, Planned, RunRequest, choose
from outfeed.planning.work_orders import plan_work_orders

__all__ = ["History", "RunRequest", "make_plan"]


def make_plan(config: CustomerConfig, request: RunRequest, history: History | None = None) -> Plan:
    """The plan of one run.

    Raises:
        ConfigError: for a site, entity or destination that the config does not name, a window that is too
            long, or if nothing can be delivered.
    """
    if request.window.span > dt.timedelta(days=MAX_SPAN_DAYS, hours=1):
        raise ConfigError(
            f"the window {request.window} spans {request.window.span.days} days, more than the "
            f"{MAX_SPAN_DAYS} allowed",
            action=Action.OPERATOR,
            remedy="start a backfill instead, it delivers one file per interval",
        )
    subjects = choose(config.subject, request.subjects, config.subjects(request.schedule))
    destinations = choose("destination", request.destinations, [d.name for d in config.destinations])
    planned = _planned(config, request, subjects, destinations, history or History())
    receiving = [
        d.name
        for d in config.destinations
        if d.name in destinations and any(d.receives(part.subject) for part in planned.parts)
    ]
    return Plan(
        customer=request.customer,
        run_id=request.run_id,
        reason=request.reason,
        delivery=config.delivery(request.schedule),
        start=request.window.start,
        end=request.window.end,
        parts=planned.parts,
        omitted=dict(planned.omitted),
        groups=planned.groups,
        destinations=tuple(receiving),
        config=config.model_dump(mode="json"),
    )


def _planned(
    config: CustomerConfig,
    request: RunRequest,
    subjects: list[str],
    destinations: list[str],
    history: History,
) -> Planned:
    if isinstance(config, WorkOrdersConfig):
        return plan_work_orders(config, request, subjects, destinations, history)
    if isinstance(config, PlatformDataConfig):
        return plan_platform_data(config, request, subjects, destinations, history)
    raise ConfigError(f"there is no plan for {type(config).__name__}", action=Action.ENGINEER)
