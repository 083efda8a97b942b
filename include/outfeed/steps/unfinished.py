"""Large files that a later try continues where an older one stopped, and what no try will continue."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence

from outfeed.connectors import open_connector
from outfeed.connectors.base import Connector, Credentials, DestinationOptions
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.records import Fence
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import UnfinishedRecord, UploadKey

log = logging.getLogger(__name__)

#: Smaller files are sent again from their start: that costs less than keeping a record of each.
TRACKED_FROM = 32 << 20

#: What could not be ended for so long is forgotten: the place is gone, or its owner has to look.
FORGOTTEN_AFTER = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True)
class TrackedUpload:
    """The `UnfinishedUpload` of one file, kept in the ledger; only the newest try saves or clears it."""

    ledger: Ledger
    fence: Fence
    key: UploadKey

    def load(self) -> str | None:
        """See `UnfinishedUpload`."""
        return self.ledger.unfinished.state(self.key)

    def save(self, state: str) -> None:
        """See `UnfinishedUpload`."""
        self.ledger.unfinished.save(self.fence, self.key, state, now())

    def clear(self) -> None:
        """See `UnfinishedUpload`."""
        self.ledger.unfinished.clear(self.fence, self.key)


def tracked_upload(ledger: Ledger, fence: Fence, key: UploadKey) -> TrackedUpload | None:
    """By what a later try continues a file; None for one that is too small to be worth it."""
    return TrackedUpload(ledger, fence, key) if key.size >= TRACKED_FROM else None


def end_abandoned(ledger: Ledger, fence: Fence, connector: Connector, location: str) -> None:
    """What earlier tries left at a place, and no try will continue, is removed and forgotten (XX-03)."""
    for record in ledger.unfinished.abandoned(fence.customer, location, now()):
        try:
            connector.abandon(record.key.path, record.state)
        except TransientError as error:
            log.warning("the rest of an upload of %s stays for now: %s", record.key.path, error)
            continue
        log.info("the rest of an upload of %s by run %s is removed", record.key.path, record.run_id)
        ledger.unfinished.clear(fence, record.key)


def end_stale(
    ledger: Ledger,
    destinations: Mapping[tuple[str, str], DestinationOptions],
    credentials: Callable[[str | None], Credentials],
    at: dt.datetime,
) -> dict[str, int]:
    """Nothing that uploads left stays because nothing is delivered to its place any more (XX-03).

    What no try has touched for seven days is removed at its place and forgotten. Where that fails it is tried
    again the next night, until after 30 days it is forgotten with a warning that names it.

    Args:
        destinations: those of all customers, by customer and location.
        credentials: gives the plain values of an Airflow connection; may raise an OutfeedError.
    """
    counts = {"ended": 0, "kept": 0, "given_up": 0}
    stale = ledger.unfinished.stale(at)
    for place, group in itertools.groupby(stale, lambda record: (record.key.customer, record.key.location)):
        records = list(group)
        left = _end_at(ledger, destinations.get(place), credentials, records, at)
        given_up = [record for record in left if at - record.updated_at > FORGOTTEN_AFTER]
        for record in given_up:
            _give_up(ledger, record)
        counts["ended"] += len(records) - len(left)
        counts["kept"] += len(left) - len(given_up)
        counts["given_up"] += len(given_up)
    return counts


def _end_at(
    ledger: Ledger,
    options: DestinationOptions | None,
    credentials: Callable[[str | None], Credentials],
    records: Sequence[UnfinishedRecord],
    at: dt.datetime,
) -> Sequence[UnfinishedRecord]:
    """Ends uploads to one place; returns those that it could not."""
    done = 0
    try:
        if options is None:
            raise TerminalError(
                "no customer's configuration has this place any more",
                where=records[0].key.location,
                action=Action.OPERATOR,
                remedy="nothing, if its owner has removed what was left there",
            )
        values = credentials(options.connection_id)
        with open_connector(options, values, attempt=f"housekeeping.{at:%Y%m%dT%H%M%S}") as connector:
            for record in records:
                connector.abandon(record.key.path, record.state)
                ledger.unfinished.forget(record)
                done += 1
                log.info("the rest of an upload of %s by run %s is removed", record.key.path, record.run_id)
    except OutfeedError as error:
        log.warning("the rest of %d uploads stays for now: %s", len(records) - done, error)
    return records[done:]


def _give_up(ledger: Ledger, record: UnfinishedRecord) -> None:
    log.warning(
        "an upload of %s to %s could not be ended for %d days and is forgotten now: "
        "look there for what it left",
        record.key.path,
        record.key.location,
        FORGOTTEN_AFTER.days,
    )
    ledger.unfinished.forget(record)
