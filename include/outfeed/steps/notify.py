"""Last step: one mail per address and outcome, and the run's state in the ledger."""

from __future__ import annotations

import dataclasses
import html
import logging
from collections.abc import Callable
from typing import Any

from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.ledger.records import Fence, RunState
from outfeed.steps.context import RunContext
from outfeed.steps.outcome import DestinationOutcome, Outcome, read_outcome
from outfeed.windows import format_instant

log = logging.getLogger(__name__)

STEP = "notify"


@dataclasses.dataclass(frozen=True)
class Message:
    """One mail to one address."""

    to: str
    subject: str
    text: str
    html: str
    #: The same mail has the same id, so that a mail server or reader can drop a repetition.
    message_id: str


def notify(run: RunContext, send: Callable[[Message], None]) -> dict[str, Any]:
    """Every address was told once how this run ended; the ledger has the run's state.

    The customer is told what was delivered and rejected, and what the customer must do; the operators are
    told everything (design §4.5).

    Raises:
        TransientError: a mail could not be sent; a retry sends only those that are missing.
        TerminalError: the run is incomplete; raised after the mails, so that the run fails.
    """
    fence = run.begin(STEP, "run")
    outcome = read_outcome(run)
    kind = "complete" if outcome.complete else "incomplete"
    summary = "; ".join(f"{failure.where}: {failure.message}" for failure in outcome.failures) or None
    state = RunState.COMPLETE if outcome.complete else RunState.FAILED
    run.ledger.finish_run(run.plan.customer, run.plan.run_id, state, summary)

    notified = run.plan.customer_config.notify
    sent, failed = 0, []
    told = _told_by_link(run, outcome)
    for address, for_customer in [(a, True) for a in notified.customer if a not in told] + [
        (a, False) for a in notified.operators
    ]:
        try:
            message = compose(run, outcome, address, for_customer=for_customer)
            sent += _send_once(run, fence, kind, message, send)
        except OutfeedError as error:
            log.error("mail to %s failed: %s", address, error)
            failed.append(error)
    if failed:
        run.ledger.end_attempt(fence, RunState.FAILED, str(failed[0]), failed[0].action)
        raise TransientError(
            f"{len(failed)} mails could not be sent: {failed[0].what}",
            where=failed[0].where,
            remedy=failed[0].remedy or "check the mail server and its Airflow connection",
        )
    run.ledger.end_attempt(fence, RunState.COMPLETE)
    if not outcome.complete:
        raise _incomplete(run, outcome)
    return {"outcome": kind, "mails": sent, "rejected": outcome.rejected}


def _told_by_link(run: RunContext, outcome: Outcome) -> set[str]:
    """Who got a link to all that was delivered: for them, that mail was the one of this run (DX-042)."""
    if not outcome.complete or not all(destination.receipt for destination in outcome.destinations):
        return set()
    offers = [run.plan.destination(name).link_offer() for name in run.plan.destinations]
    return set.intersection(*(set(offer.recipients) if offer else set() for offer in offers))


def _send_once(
    run: RunContext, fence: Fence, kind: str, message: Message, send: Callable[[Message], None]
) -> int:
    if run.ledger.notified(run.plan.customer, run.plan.run_id, kind, message.to):
        return 0
    send(message)
    run.ledger.record_notification(fence, kind, message.to)
    return 1


def _incomplete(run: RunContext, outcome: Outcome) -> TerminalError:
    first = outcome.failures[0]
    return TerminalError(
        f"the run is incomplete: {len(outcome.failures)} failures, the first: {first.where}: {first.message}",
        where=run.plan.customer,
        action=first.action,
        remedy="see the failed tasks of this run; clearing them delivers only what is missing",
    )


def compose(run: RunContext, outcome: Outcome, address: str, *, for_customer: bool) -> Message:
    """The mail for one address."""
    plan = run.plan
    days = f"{format_instant(plan.start)} to {format_instant(plan.end)}"
    word = "delivered" if outcome.complete else "INCOMPLETE"
    if outcome.complete and not any(destination.receipt for destination in outcome.destinations):
        word = "nothing new"
    lines = [f"Export of {plan.customer}, {days} ({plan.reason})", ""]
    lines += ["Destinations:"] + [f"  {_describe(d)}" for d in outcome.destinations] + [""]
    lines += _records(outcome, for_customer=for_customer)
    lines += _actions(outcome, for_customer=for_customer)
    if not for_customer:
        lines += ["", f"Run: {plan.run_id}"]
    text = "\n".join(lines) + "\n"
    return Message(
        to=address,
        subject=f"[Outfeed] {plan.customer} {days}: {word}",
        text=text,
        html=f"<pre>{html.escape(text)}</pre>",
        message_id=f"<{word.replace(' ', '-').lower()}.{plan.customer}.{_compact(plan.run_id)}@outfeed>",
    )


def _compact(run_id: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in run_id)


def _describe(destination: DestinationOutcome) -> str:
    if destination.failure is not None:
        return f"{destination.name}: not complete"
    receipt = destination.receipt
    if receipt is None:
        return f"{destination.name}: nothing new, everything had been delivered before"
    missing = f", {receipt.images_missing} images missing in their store" if receipt.images_missing else ""
    revision = f", revision {receipt.revision}" if receipt.revision > 1 else ""
    return (
        f"{destination.name}: {receipt.files} files with {receipt.rows} records, {receipt.images} images, "
        f"{receipt.bytes} bytes{revision}{missing}; manifest {receipt.manifest_path}"
    )


def _records(outcome: Outcome, *, for_customer: bool) -> list[str]:
    lines = []
    if outcome.rejected:
        lines.append(
            f"{outcome.rejected} records broke the contract and are in quarantine; they were not delivered."
        )
    if outcome.unplaced and not for_customer:
        lines.append(
            f"{outcome.unplaced} records of the platform in this window have no site or no date: no export "
            "can deliver them (an engineer acts: repair them in the platform)."
        )
    return lines


def _actions(outcome: Outcome, *, for_customer: bool) -> list[str]:
    """The customer reads only what the customer can end; the rest is ours."""
    if outcome.complete:
        for_this = " for this delivery" if outcome.unplaced and not for_customer else ""
        return [f"Nobody needs to act{for_this}."]
    lines = ["What must happen:"]
    for failure in outcome.failures:
        if not for_customer or failure.action is Action.CUSTOMER:
            lines.append(f"  {failure.where}: {failure.message}")
    if for_customer and any(failure.action is not Action.CUSTOMER for failure in outcome.failures):
        lines.append("  Our operators have been told and are working on it; nothing is lost.")
    return lines
