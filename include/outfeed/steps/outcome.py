"""What became of a run, read from the ledger: the truth that mails and the CLI tell."""

from __future__ import annotations

import dataclasses

from outfeed.errors import Action
from outfeed.ledger.records import AttemptRecord, DeliveryRecord, PartRecord, RunState
from outfeed.steps.context import RunContext


@dataclasses.dataclass(frozen=True)
class Failure:
    """One thing that went wrong, and whose action ends it."""

    where: str
    message: str
    action: Action


@dataclasses.dataclass(frozen=True)
class DestinationOutcome:
    """What became of one destination: a receipt, nothing new, or a failure."""

    name: str
    receipt: DeliveryRecord | None
    failure: Failure | None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    parts: tuple[PartRecord, ...]
    destinations: tuple[DestinationOutcome, ...]
    failures: tuple[Failure, ...]

    @property
    def complete(self) -> bool:
        """Whether every destination has everything."""
        return not self.failures

    @property
    def rejected(self) -> int:
        """Records in quarantine."""
        return sum(part.rows_rejected or 0 for part in self.parts)

    @property
    def unplaced(self) -> int:
        """Records that no site can claim, as the parts counted them (each part counts the same ones)."""
        return max((part.unplaced for part in self.parts), default=0)


def read_outcome(run: RunContext) -> Outcome:
    """The outcome of a run whose steps have ended."""
    customer, run_id = run.plan.customer, run.plan.run_id
    parts = {part.key: part for part in run.ledger.parts(customer, run_id)}
    attempts = {(attempt.step, attempt.target): attempt for attempt in run.ledger.attempts(customer, run_id)}
    receipts = {
        (receipt.destination, receipt.run_id): receipt
        for receipt in run.ledger.deliveries(customer)
        if receipt.run_id == run_id
    }
    part_failures = [
        Failure(key, part.error or "it did not finish", part.action or Action.OPERATOR)
        for key, part in sorted(parts.items())
        if part.state is not RunState.COMPLETE
    ]
    part_failures += [
        Failure(part.key, "it was not read; the log of its extract task says why", Action.OPERATOR)
        for part in run.plan.parts
        if part.key not in parts
    ]
    destinations = tuple(
        _destination(name, receipts.get((name, run_id)), attempts.get(("upload", name)))
        for name in run.plan.destinations
    )
    failures = part_failures + [d.failure for d in destinations if d.failure is not None]
    return Outcome(tuple(parts.values()), destinations, tuple(failures))


def _destination(
    name: str, receipt: DeliveryRecord | None, attempt: AttemptRecord | None
) -> DestinationOutcome:
    if attempt is None:
        return DestinationOutcome(name, receipt, Failure(name, "the upload did not start", Action.OPERATOR))
    if attempt.state is RunState.COMPLETE:
        return DestinationOutcome(name, receipt, None)
    message = attempt.error or "the upload did not finish"
    return DestinationOutcome(name, receipt, Failure(name, message, attempt.action or Action.OPERATOR))
