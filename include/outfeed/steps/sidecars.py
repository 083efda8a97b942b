"""The `.md5` beside each file: written after it, so that it also tells that the file is complete (VI-C08)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from outfeed.connectors.base import Connector, Delivered, DestinationOptions, Outgoing
from outfeed.ledger.records import FileKind
from outfeed.manifest import DeliveredData
from outfeed.steps.context import RunContext
from outfeed.steps.file_log import FileLog, own_file

SUFFIX = ".md5"


def sidecar(item: DeliveredData) -> bytes:
    """The line by which `md5sum -c`, run in the file's folder, says `<name>: OK` (VI-C10)."""
    return f"{item.details['md5']}  {PurePosixPath(item.record.path).name}\n".encode()


def deliver_sidecars(
    run: RunContext,
    options: DestinationOptions,
    connector: Connector,
    file_log: FileLog,
    data: list[DeliveredData],
) -> None:
    """Every delivered file that wants a sidecar has one: `<name>.md5` (VI-C09).

    Raises:
        OutfeedError: the first sidecar that could not be delivered.
    """
    wanted = {item.record.path + SUFFIX: item for item in data if "md5" in item.details}
    known = run.ledger.files(run.plan.customer, options.location(), list(wanted))
    if connector.capabilities.temporary:
        # What is delivered again, in another folder, takes its sidecar along.
        known = {
            path: file
            for path, file in known.items()
            if wanted[path].unchanged or file.run_id == run.plan.run_id
        }
    missing = {path: item for path, item in wanted.items() if path not in known}
    for result in connector.deliver(_outgoing(missing)):
        if not isinstance(result, Delivered):
            raise result.error
        part = missing[result.path].part
        file_log.add(own_file(run.plan, options, FileKind.SIDECAR, result, part))
    file_log.flush()


def _outgoing(items: dict[str, DeliveredData]) -> Iterator[Outgoing]:
    for path, item in items.items():
        content = sidecar(item)
        digest = hashlib.sha256(content).hexdigest()
        yield Outgoing(path, partial(io.BytesIO, content), len(content), digest, "text/plain")
