"""Delivered files on their way into the ledger, in batches."""

from __future__ import annotations

import threading
import time

from outfeed.connectors.base import Delivered, DestinationOptions
from outfeed.ledger import Ledger
from outfeed.ledger.records import Fence, FileKind, FileRecord, FileState
from outfeed.plan import Plan

#: How many names in a row may hold content that the ledger does not know before a person must look.
MAX_CONFLICTS = 20

_BATCH = 200
_SECONDS = 2.0


class FileLog:
    """Records files in the ledger within two seconds of their delivery, many per transaction.

    A file that was delivered but not yet recorded when a try dies is found identical by the next try and
    recorded then: nothing is lost or sent twice. May be used from several threads.

    Raises:
        SupersededError: from `add` and `flush`, when a newer try of the same work has begun.
    """

    def __init__(self, ledger: Ledger, fence: Fence) -> None:
        self.fence = fence
        self._ledger = ledger
        self._lock = threading.Lock()
        self._waiting: list[FileRecord] = []
        self._flushed = time.monotonic()

    def add(self, record: FileRecord) -> None:
        """Takes one record; writes the batch when it is large or old enough."""
        with self._lock:
            self._waiting.append(record)
            if len(self._waiting) >= _BATCH or time.monotonic() - self._flushed > _SECONDS:
                self._write()

    def flush(self) -> None:
        """Writes whatever waits."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._ledger.record_files(self.fence, self._waiting)
            self._waiting = []
        self._flushed = time.monotonic()


def own_file(
    plan: Plan, options: DestinationOptions, kind: FileKind, result: Delivered, part: str | None = None
) -> FileRecord:
    """The record of a delivered file that tells of others: it is written once and has no revision."""
    return FileRecord(
        customer=plan.customer,
        location=options.location(),
        path=result.path,
        logical_path=result.path,
        revision=1,
        kind=kind,
        state=FileState.DELIVERED,
        run_id=plan.run_id,
        destination=options.name,
        part=part,
        bytes=result.bytes,
        sha256=result.sha256,
        verified=result.verified,
    )
