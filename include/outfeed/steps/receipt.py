"""Manifest, checksum list, image list and marker at a destination; the receipt in the ledger."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from outfeed.connectors.base import Connector, Delivered, DestinationOptions, Outgoing
from outfeed.contracts import Contract
from outfeed.errors import Action, DestinationConflict, TerminalError
from outfeed.ledger.records import DeliveryRecord, FileKind, FileRecord, FileState
from outfeed.manifest import (
    CHECKSUMS,
    IMAGES,
    MANIFEST,
    MARKER,
    DeliveredData,
    checksum_line,
    delivery_folder,
    delivery_id,
    image_lines,
    manifest_bytes,
    marker_bytes,
)
from outfeed.plan import Plan, Reason
from outfeed.steps.context import RunContext
from outfeed.steps.file_log import MAX_CONFLICTS, FileLog, own_file

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Staged:
    """A file written to staging for this delivery."""

    relative: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class _ImageCounts:
    delivered: int
    missing: int
    bytes: int


def write_receipt(
    run: RunContext,
    options: DestinationOptions,
    connector: Connector,
    file_log: FileLog,
    data: list[DeliveredData],
) -> dict[str, Any]:
    """The destination has manifest and marker for all that is new, and the ledger the receipt.

    If nothing is new since the last receipt of this window, nothing is written at all (XX-03).
    """
    plan, location = run.plan, options.location()
    receipts = run.ledger.deliveries_of_window(plan.customer, location, plan.delivery, plan.start, plan.end)
    images = _count_images(run, location)
    done = any(receipt.run_id == plan.run_id for receipt in receipts)
    new = any(not item.unchanged for item in data) or images.delivered > 0
    if done or (receipts and not new):
        log.info("%s already has everything of %s", options.name, plan.window)
        return {"destination": options.name, "outcome": "nothing-new", "revision": receipts[-1].revision}

    revision = receipts[-1].revision + 1 if receipts else 1
    delivery = _Delivery(run, options, connector, file_log, data, images)
    for candidate in range(revision, revision + MAX_CONFLICTS):
        try:
            manifest_path = delivery.publish(candidate)
        except DestinationConflict as conflict:
            log.warning("%s; trying the next revision", conflict)
            continue
        delivery.verify_test_export()
        record = delivery.record(candidate, manifest_path, receipts[-1].revision if receipts else None)
        return _summary(options, record)
    raise TerminalError(
        f"{MAX_CONFLICTS} delivery folders in a row hold content that the ledger does not know",
        where=f"{location} {delivery_folder(plan, options.filename_style, revision)}",
        action=Action.OPERATOR,
        remedy="restore the ledger if it was lost; if another installation delivers here, use another base",
    )


def _count_images(run: RunContext, location: str) -> _ImageCounts:
    delivered = missing = size = 0
    for image in run.ledger.images_of_run(run.plan.customer, run.plan.run_id, location):
        if image.state is FileState.MISSING:
            missing += 1
        else:
            delivered += 1
            size += image.bytes or 0
    return _ImageCounts(delivered, missing, size)


def _summary(options: DestinationOptions, record: DeliveryRecord) -> dict[str, Any]:
    return {
        "destination": options.name,
        "outcome": "delivered",
        "revision": record.revision,
        "files": record.files,
        "rows": record.rows,
        "bytes": record.bytes,
        "images": record.images,
        "images_missing": record.images_missing,
        "manifest": record.manifest_path,
    }


def _schema(plan: Plan) -> dict[str, str] | None:
    """The JSON Schema of records; tables have none, their columns stand beside each file."""
    if plan.parts[0].table is not None:
        return None
    contract = Contract.load(plan.parts[0].dataset)
    return {"id": contract.schema_id, "sha256": contract.sha256}


@dataclasses.dataclass
class _Delivery:
    """The delivery's own files."""

    run: RunContext
    options: DestinationOptions
    connector: Connector
    file_log: FileLog
    data: list[DeliveredData]
    images: _ImageCounts

    def publish(self, revision: int) -> str:
        """Writes image list, manifest, checksums and, last, the marker; returns the manifest's path.

        Raises:
            DestinationConflict: the folder of this revision holds other content.
        """
        plan = self.run.plan
        folder = delivery_folder(plan, self.options.filename_style, revision)
        listed: list[tuple[str, str]] = []
        if self.images.delivered or self.images.missing:
            image_list = self._stage(IMAGES, image_lines(self._run_images()))
            self._send(f"{folder}/{IMAGES}", image_list, FileKind.MANIFEST)
            listed.append((image_list.sha256, f"{folder}/{IMAGES}"))
        manifest = self._stage(MANIFEST, [self._manifest(revision)])
        self._send(f"{folder}/{MANIFEST}", manifest, FileKind.MANIFEST)
        listed.append((manifest.sha256, f"{folder}/{MANIFEST}"))
        self._send(
            f"{folder}/{CHECKSUMS}", self._stage(CHECKSUMS, self._checksums(listed)), FileKind.MANIFEST
        )
        marker = marker_bytes(
            plan, location=self.options.location(), revision=revision, manifest_sha256=manifest.sha256
        )
        self._send(f"{folder}/{MARKER}", self._stage(MARKER, [marker]), FileKind.MARKER)
        self.file_log.flush()
        return f"{folder}/{MANIFEST}"

    def verify_test_export(self) -> None:
        """A test export validates its destination only if all that was sent is found there (DX-088)."""
        plan = self.run.plan
        if plan.reason is not Reason.TEST:
            return
        # A temporary place has another folder for each delivery.
        brought = self._new() if self.connector.capabilities.temporary else self.data
        for item in brought:
            found = self.connector.stat(item.record.path)
            if found is None or found.bytes != item.record.bytes:
                raise TerminalError(
                    f"the test export delivered {item.record.path}, but the destination now has "
                    f"{found.bytes if found else 'no'} bytes of it instead of {item.record.bytes}",
                    where=self.options.location(),
                    action=Action.CUSTOMER,
                    remedy="check what moves or changes files in this folder, then run the test export again",
                )
        self.run.ledger.record_validation(plan.customer, self.options.location(), plan.run_id)

    def record(self, revision: int, manifest_path: str, previous: int | None) -> DeliveryRecord:
        """The receipt, in the ledger."""
        plan, location = self.run.plan, self.options.location()
        record = DeliveryRecord(
            customer=plan.customer,
            destination=self.options.name,
            location=location,
            run_id=plan.run_id,
            reason=str(plan.reason),
            start=plan.start,
            end=plan.end,
            dataset=plan.delivery,
            revision=revision,
            manifest_path=manifest_path,
            files=len(self._new()),
            images=self.images.delivered,
            images_missing=self.images.missing,
            rows=sum(item.record.rows or 0 for item in self._new()),
            rows_rejected=sum(item.rejected for item in self._new()),
            bytes=sum(item.record.bytes or 0 for item in self._new()) + self.images.bytes,
            supersedes=delivery_id(plan, location, previous) if previous else None,
            warning=self.options.warning(),
        )
        self.run.ledger.record_delivery(self.file_log.fence, record)
        return record

    def _new(self) -> list[DeliveredData]:
        """What this delivery brought; the rest of the manifest was there already."""
        return [item for item in self.data if not item.unchanged]

    def _run_images(self) -> Iterable[FileRecord]:
        """This run's images at this destination, by path: the order of both lists."""
        plan = self.run.plan
        return self.run.ledger.images_of_run(plan.customer, plan.run_id, self.options.location())

    def _manifest(self, revision: int) -> bytes:
        return manifest_bytes(
            self.run.plan,
            location=self.options.location(),
            revision=revision,
            data=self.data,
            receives=self.options.receives,
            images=dataclasses.asdict(self.images),
            schema=_schema(self.run.plan),
            atomicity=self.connector.capabilities.atomic,
        )

    def _checksums(self, listed: list[tuple[str, str]]) -> Iterable[bytes]:
        for item in sorted(self._new(), key=lambda item: item.record.path):
            yield checksum_line(str(item.record.sha256), item.record.path)
        for image in self._run_images():
            if image.state is FileState.DELIVERED:
                yield checksum_line(str(image.sha256), image.path)
        for sha256, path in listed:
            yield checksum_line(sha256, path)

    def _stage(self, name: str, blocks: Iterable[bytes]) -> _Staged:
        """Writes to staging as a stream, so that lists of a million images cost no memory."""
        relative, stream = self.run.staging.open_write("upload", self.options.name, name)
        digest, size = hashlib.sha256(), 0
        with stream:
            for block in blocks:
                stream.write(block)
                digest.update(block)
                size += len(block)
        return _Staged(relative, size, digest.hexdigest())

    def _send(self, path: str, staged: _Staged, kind: FileKind) -> None:
        opened: Callable[[], BinaryIO] = lambda: self.run.staging.open_read(staged.relative)  # noqa: E731
        outgoing = Outgoing(path=path, open=opened, size=staged.bytes, sha256=staged.sha256)
        for result in self.connector.deliver([outgoing]):
            if not isinstance(result, Delivered):
                raise result.error
            self.file_log.add(own_file(self.run.plan, self.options, kind, result))
