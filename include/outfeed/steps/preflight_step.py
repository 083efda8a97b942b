"""What a test export does before anything is delivered: the preflight of each destination (DX-088)."""

from __future__ import annotations

import logging
from typing import Any

from outfeed.connectors import DestinationModel
from outfeed.connectors.base import Check, CheckState, Credentials
from outfeed.errors import OutfeedError, TerminalError, TransientError
from outfeed.ledger.records import RunState
from outfeed.steps.context import RunContext
from outfeed.steps.links import Mailing, Post
from outfeed.steps.preflight import record_preflight, run_preflight

log = logging.getLogger(__name__)

STEP = "preflight"


def preflight(
    run: RunContext, destination: str, credentials: Credentials, post: Post | None = None
) -> dict[str, Any]:
    """The destination has passed every step that a delivery needs, and the ledger knows what was found.

    Args:
        destination: name of one of the plan's destinations.
        credentials: plain values of its Airflow connection.
        post: the way to the mail server; needed by destinations that offer links.

    Raises:
        TerminalError, TransientError: the first step that failed, with whose action ends it.
    """
    options = run.plan.destination(destination)
    fence = run.begin(STEP, destination)
    try:
        _require(run, options, credentials, Mailing.of(run, options, fence, post))
    except OutfeedError as error:
        run.ledger.end_attempt(fence, RunState.FAILED, str(error), error.action)
        raise
    run.ledger.end_attempt(fence, RunState.COMPLETE)
    return {"destination": destination, "outcome": "passed"}


def ensure_preflight(
    run: RunContext, options: DestinationModel, credentials: Credentials, mailing: Mailing | None
) -> None:
    """The destination has passed its preflight in this run: in a task of its own, or now.

    Raises:
        TerminalError, TransientError: as `preflight`.
    """
    tries = run.ledger.attempts(run.plan.customer, run.plan.run_id)
    states = [each.state for each in tries if (each.step, each.target) == (STEP, options.name)]
    if not states or states[-1] is not RunState.COMPLETE:
        _require(run, options, credentials, mailing)


def _require(
    run: RunContext, options: DestinationModel, credentials: Credentials, mailing: Mailing | None
) -> None:
    def report(check: Check) -> None:
        level = logging.ERROR if check.state is CheckState.FAILED else logging.INFO
        log.log(level, "preflight of %s: %s %s: %s", options.name, check.step, check.state, check.message)

    token = run.delivery_token(options.name)
    more = mailing.checks() if mailing is not None else ()
    found = run_preflight(options, lambda: credentials, token, report, more)
    record_preflight(run.ledger, run.plan.customer, options, run.plan.run_id, found)
    if found.obstacle is not None:
        raise _failure(found.obstacle, options)


def _failure(check: Check, options: DestinationModel) -> OutfeedError:
    error = check.error or TerminalError(check.message, where=options.location())
    kind = TransientError if isinstance(error, TransientError) else TerminalError
    return kind(
        f"the preflight failed at {check.step!r}: {error.what}; nothing was delivered",
        where=error.where or options.location(),
        action=error.action,
        remedy=error.remedy,
    )
