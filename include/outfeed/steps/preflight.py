"""The test of a destination in named steps: what it found, on record, and whether a delivery can follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from outfeed.connectors import open_connector
from outfeed.connectors.base import Check, CheckState, Credentials, DestinationOptions
from outfeed.errors import OutfeedError
from outfeed.ledger import Ledger
from outfeed.ledger.records import PreflightStep

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
