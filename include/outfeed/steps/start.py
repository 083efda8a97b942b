"""First step: the immutable plan of a run, in staging and in the ledger."""

from __future__ import annotations

import datetime as dt
import logging
from functools import partial

import orjson

from outfeed.config.models import CustomerConfig
from outfeed.errors import Action, ConfigError
from outfeed.ledger import Ledger
from outfeed.ledger.records import RunRecord, RunState
from outfeed.plan import Plan, Reason
from outfeed.planning import History, RunRequest, make_plan
from outfeed.staging import Staging

log = logging.getLogger(__name__)

_STEP = "plan"
_PART = "run"


#: How far back the window may lie whose read tells which rows of a delta are late.
_PREVIOUS = dt.timedelta(days=400)


def start(
    request: RunRequest,
    *,
    config: CustomerConfig,
    config_file: str,
    staging: Staging,
    ledger: Ledger,
    attempt: str,
) -> Plan:
    """The plan of this run, the same for every try: the first one that was published wins.

    Raises:
        ConfigError: a draft may only run test exports (DX-005); an unknown site, entity or destination; a
            window that is too long (DX-020).
    """
    customer, run_id = request.customer, request.run_id
    if config.state == "draft" and request.reason is not Reason.TEST:
        raise ConfigError(
            f"{customer} is a draft: only a test export may run",
            where=config_file,
            action=Action.OPERATOR,
            remedy="trigger a run with reason 'test', or set 'state: live'",
        )
    end = request.window.end
    history = History(
        ledger.part_weights(customer), partial(ledger.read_states, customer, end - _PREVIOUS, end)
    )
    made = make_plan(config, request, history)
    plan = Plan.model_validate(staging.publish(_STEP, _PART, orjson.loads(made.to_json())))
    ledger.start_run(
        RunRecord(
            customer=customer,
            run_id=run_id,
            reason=str(plan.reason),
            start=plan.start,
            end=plan.end,
            dataset=plan.delivery,
            config_sha256=plan.config_sha256,
            plan_uri=str(staging.root),
        )
    )
    fence = ledger.begin_attempt(customer, run_id, _STEP, _PART, attempt)
    ledger.end_attempt(fence, RunState.COMPLETE)
    log.info(
        "planned %s %s: %d parts to %s", customer, plan.window, len(plan.parts), ", ".join(plan.destinations)
    )
    for part, why in plan.omitted.items():
        log.warning("%s is left out: %s", part, why)
    return plan


def read_plan(staging: Staging) -> Plan:
    """The plan that the first step published.

    Raises:
        ConfigError: if the run's staging folder has no plan: it was removed after its retention, or it lies
            on another worker's disk.
    """
    stored = staging.result(_STEP, _PART)
    if stored is None:
        raise ConfigError(
            "this run's staging folder holds no plan",
            where=str(staging.root),
            action=Action.OPERATOR,
            remedy="clear the whole run, from the task 'plan' on: staging is removed after its retention; "
            "if that has not passed, let OUTFEED_STAGING_URI name a place that all workers share",
        )
    return Plan.model_validate(stored)
