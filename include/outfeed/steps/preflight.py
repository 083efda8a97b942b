"""The test of a destination in named steps: what it found, on record, and whether a delivery can follow."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable

from outfeed.connectors import open_connector
from outfeed.connectors.base import Check, CheckState, Credentials, DestinationOptions
from outfeed.errors import OutfeedError, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.records import PreflightStep

log = logging.getLogger(__name__)

#: The step that fails when the secrets of a destination can't be used at all.
CREDENTIALS = "credentials"


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What was found at one destination.

    Attributes:
        accepted_key: public half of our key that let us in, where a key pair is used.
    """

    checks: tuple[Check, ...]
    accepted_key: str | None = None

    @property
    def failed(self) -> bool:
        """Whether any step failed, even one that a delivery can do without."""
        return any(check.state is CheckState.FAILED for check in self.checks)

    @property
    def obstacle(self) -> Check | None:
        """The first failed step without which no delivery is possible."""
        return next((c for c in self.checks if c.state is CheckState.FAILED and c.blocks), None)


def run_preflight(
    options: DestinationOptions,
    credentials: Callable[[], Credentials],
    attempt: str,
    report: Callable[[Check], None],
    more: Iterable[Check] = (),
) -> Preflight:
    """Every step of the destination's preflight was tried or skipped, and told to `report` as it ended.

    Args:
        credentials: gives the plain values of its Airflow connection; may raise an OutfeedError.
        attempt: token of this try; temporary names carry it.
        more: steps that need more than the connector has; tried after its own, as they are asked for.
    """
    checks: list[Check] = []
    accepted = None

    def note(check: Check) -> None:
        checks.append(check)
        report(check)

    try:
        connector = open_connector(options, credentials(), attempt=attempt)
        for check in connector.preflight():
            note(check)
        for check in more:
            note(check)
        accepted = connector.accepted_key
    except OutfeedError as error:
        # Nothing was tried: the connection is missing, or holds nothing that a login could be made of.
        note(Check(CREDENTIALS, CheckState.FAILED, str(error), error=error))
    return Preflight(tuple(checks), accepted)


def record_preflight(
    ledger: Ledger, customer: str, options: DestinationOptions, run_id: str, found: Preflight
) -> None:
    """The ledger knows each step's outcome, and which of our keys the server accepted."""
    steps = [PreflightStep(check.step, check.state, check.message, check.setting) for check in found.checks]
    ledger.record_preflight(customer, options.location(), run_id, steps)
    note_key(ledger, customer, options, found.accepted_key)


def note_key(ledger: Ledger, customer: str, options: DestinationOptions, accepted: str | None) -> None:
    """The ledger knows which of our keys a server accepted last, so that a rotation can be finished."""
    if accepted is not None and options.connection_id is not None:
        ledger.key_accepted(customer, options.connection_id, accepted, options.location())


def require_preflight(
    ledger: Ledger,
    customer: str,
    options: DestinationOptions,
    credentials: Credentials,
    *,
    run_id: str,
    attempt: str,
    more: Iterable[Check] = (),
) -> None:
    """The destination has passed every step that a delivery needs, before anything is delivered (DX-088).

    Raises:
        TerminalError, TransientError: the first step that failed, with whose action ends it.
    """

    def report(check: Check) -> None:
        level = logging.ERROR if check.state is CheckState.FAILED else logging.INFO
        log.log(level, "preflight of %s: %s %s: %s", options.name, check.step, check.state, check.message)

    found = run_preflight(options, lambda: credentials, attempt, report, more)
    record_preflight(ledger, customer, options, run_id, found)
    if found.obstacle is not None:
        raise _failure(found.obstacle, options)


def _failure(check: Check, options: DestinationOptions) -> OutfeedError:
    error = check.error or TerminalError(check.message, where=options.location())
    kind = TransientError if isinstance(error, TransientError) else TerminalError
    return kind(
        f"the preflight failed at {check.step!r}: {error.what}; nothing was delivered",
        where=error.where or options.location(),
        action=error.action,
        remedy=error.remedy,
    )
