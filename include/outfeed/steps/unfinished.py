"""Large files that a later try continues where an older one stopped, and what no try will continue."""

from __future__ import annotations

import dataclasses
import logging

from outfeed.connectors.base import Connector
from outfeed.errors import TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.records import Fence
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import UploadKey

log = logging.getLogger(__name__)

#: Smaller files are sent again from their start: that costs less than keeping a record of each.
TRACKED_FROM = 32 << 20


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
