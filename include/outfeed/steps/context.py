"""What every step works with, and how it reports progress."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from typing import Any

from outfeed.errors import OutfeedError, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.records import Fence, RunState
from outfeed.plan import Plan
from outfeed.staging import Staging

log = logging.getLogger(__name__)

#: Seconds between two lines of progress in the log and the ledger.
REPORT_EVERY = 5.0


@dataclasses.dataclass(frozen=True)
class RunContext:
    """One try of one task: the plan it obeys and the places it writes to."""

    plan: Plan
    staging: Staging
    ledger: Ledger
    attempt: str

    def begin(self, step: str, target: str) -> Fence:
        """Makes this try the newest of its work; an older one can't record anything from now on."""
        return self.ledger.begin_attempt(self.plan.customer, self.plan.run_id, step, target, self.attempt)

    def delivery_token(self, destination: str) -> str:
        """What a connector names its temporary files by: `<work>.<try>` (see `Connector`).

        The work is one run's delivery to one destination, so that what a killed try left there goes with the
        next one (XX-03). A digest, because run ids may be longer than a file name and are nothing to the
        customer.
        """
        work = "\n".join([self.plan.customer, self.plan.run_id, destination])
        return f"{hashlib.sha256(work.encode()).hexdigest()[:12]}.{self.attempt.replace('.', '-')}"


class ProgressReport:
    """Says every few seconds, in the task log and the ledger, how far a step has come (rows, bytes, ETA)."""

    def __init__(self, ledger: Ledger, fence: Fence, what: str, total_bytes: int | None = None) -> None:
        self._ledger = ledger
        self._fence = fence
        self._what = what
        self._total = total_bytes
        self._started = self._reported = time.monotonic()

    def __call__(self, rows: int, done_bytes: int) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY:
            return
        self._reported = now
        rate = done_bytes / max(now - self._started, 1e-9)
        eta = f", about {max(0, self._total - done_bytes) / rate:.0f} s left" if self._total and rate else ""
        log.info("%s: %d rows, %.1f MB, %.1f MB/s%s", self._what, rows, done_bytes / 1e6, rate / 1e6, eta)
        self._ledger.progress(self._fence, rows, done_bytes, self._total)


@dataclasses.dataclass
class PartFailures:
    """Collects the failures of single parts, so that the others go on; raises them together at the end."""

    ledger: Ledger
    fence: Fence
    failures: dict[str, OutfeedError] = dataclasses.field(default_factory=dict)

    def add(self, part: str, error: OutfeedError) -> None:
        """Notes that a part failed, in the log and the ledger."""
        log.error("part %s failed: %s", part, error)
        self.failures[part] = error
        self.ledger.fail_part(self.fence, part, str(error), error.action)

    def finish(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Ends the attempt; returns the summary, or raises if any part failed."""
        if not self.failures:
            self.ledger.end_attempt(self.fence, RunState.COMPLETE)
            return summary
        text = "; ".join(f"{part}: {error}" for part, error in self.failures.items())
        first = next(iter(self.failures.values()))
        self.ledger.end_attempt(self.fence, RunState.FAILED, text, first.action)
        if any(isinstance(error, TransientError) for error in self.failures.values()):
            raise TransientError(text, action=first.action)
        raise TerminalError(text, action=first.action)
