"""Fourth step: images, data, manifest and marker to one destination, each verified and in the ledger.

The order is the promise: a data file never names an image that could still come, the manifest never names
a data file that is not there, and the marker is last (design §4). What the ledger knows as delivered is not
sent again, even if the customer has deleted it (D28); other content under a delivered name becomes a
revision that names what it supersedes (D27).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from functools import cached_property
from typing import Any, BinaryIO

from outfeed.connectors import open_connector
from outfeed.connectors.base import Connector, Credentials, Delivered, DestinationOptions, Outgoing
from outfeed.errors import (
    Action,
    DestinationConflict,
    OutfeedError,
    SupersededError,
    TerminalError,
    TransientError,
)
from outfeed.formats.compression import Compression
from outfeed.ledger.records import FileKind, FileRecord, FileState, RunState
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import UploadKey
from outfeed.manifest import DeliveredData
from outfeed.plan import Part, Reason
from outfeed.steps.context import ProgressReport, RunContext
from outfeed.steps.file_log import MAX_CONFLICTS, FileLog
from outfeed.steps.images import ImageDelivery
from outfeed.steps.links import Mailing, Post
from outfeed.steps.preflight import note_key
from outfeed.steps.preflight_step import ensure_preflight
from outfeed.steps.receipt import write_receipt
from outfeed.steps.sealing import is_known, sealed_package
from outfeed.steps.sidecars import deliver_sidecars
from outfeed.steps.unfinished import TrackedUpload, end_abandoned, tracked_upload

log = logging.getLogger(__name__)

STEP = "upload"

#: Media type of what nobody but the customer can read.
_ENCRYPTED = "application/octet-stream"


def upload(
    run: RunContext,
    destination: str,
    credentials: Credentials,
    images: Any | None,
    post: Post | None = None,
) -> dict[str, Any]:
    """Everything of this run that the destination lacks is there, verified, with manifest and marker.

    Parts that failed earlier do not hold up the others; their absence withholds only the manifest and the
    marker, and fails the step.

    Args:
        destination: name of one of the plan's destinations.
        credentials: plain values of its Airflow connection.
        images: root of the image store, any UPath-like path; None if no images are exported.
        post: the way to the mail server; needed by destinations that offer links.

    Returns:
        What happened: `outcome` is `delivered` or `nothing-new`, with files, images, rows, bytes, revision.

    Raises:
        TerminalError: destination not validated by a test export (DX-089), a test export's preflight failed
            (DX-088), refused, or parts missing.
        TransientError: connection lost, throttled; the next try continues where this one stopped.
    """
    options = run.plan.destination(destination)
    fence = run.begin(STEP, destination)
    try:
        _require_validation(run, options)
        mailing = Mailing.of(run, options, fence, post)
        if run.plan.reason is Reason.TEST:
            ensure_preflight(run, options, credentials, mailing)
        placed = options if mailing is None else mailing.placed()
        with open_connector(placed, credentials, attempt=run.delivery_token(destination)) as connector:
            note_key(run.ledger, run.plan.customer, options, connector.accepted_key)
            shipment = Shipment(run, options, connector, FileLog(run.ledger, fence))
            summary = shipment.deliver(images)
        if mailing is not None:
            summary |= mailing.send_all()
    except OutfeedError as error:
        failure = _unless_newest(error)
        run.ledger.end_attempt(fence, RunState.FAILED, str(failure), failure.action)
        if failure is error:
            raise
        raise failure from error
    run.ledger.end_attempt(fence, RunState.COMPLETE)
    return summary


def _unless_newest(error: OutfeedError) -> OutfeedError:
    """What an error means to the newest try; to an older one the ledger says that it is superseded.

    A connector sees only that another try removed its unfinished files. If that one is the older, an orphan
    that should be dead, this one must be tried again, or nobody delivers.
    """
    if not isinstance(error, SupersededError):
        return error
    return TransientError(
        "an older try of this delivery removed the unfinished files of this one",
        where=error.where,
        remedy="retried; if it persists, end the task process that a lost worker left behind",
    )


def _require_validation(run: RunContext, options: DestinationOptions) -> None:
    """Only a test export may be the first delivery to a place (DX-088, DX-089, XX-10)."""
    validated = run.ledger.validated_at(run.plan.customer, options.location())
    if run.plan.reason is not Reason.TEST and validated is None:
        raise TerminalError(
            f"destination {options.name!r} ({options.location()}) has not been validated",
            where=run.plan.customer,
            action=Action.OPERATOR,
            remedy="trigger one run with reason 'test'; when it has succeeded, clear this task",
        )


@dataclasses.dataclass
class _DataFile:
    """One data file under way."""

    part: Part
    packaged: dict[str, Any]
    logical_path: str
    revision: int
    path: str
    supersedes: str | None
    unfinished: TrackedUpload | None


@dataclasses.dataclass
class Shipment:
    """One try to bring one run to one destination."""

    run: RunContext
    options: DestinationOptions
    connector: Connector
    file_log: FileLog
    data: list[DeliveredData] = dataclasses.field(default_factory=list)
    failures: list[OutfeedError] = dataclasses.field(default_factory=list)

    def deliver(self, images: Any | None) -> dict[str, Any]:
        """See `upload`."""
        plan = self.run.plan
        end_abandoned(self.run.ledger, self.file_log.fence, self.connector, self.options.location())
        wanted = [part for part in plan.parts if self.options.receives(part.subject)]
        packages = {part.key: self.run.staging.result("package", part.key) for part in wanted}
        ready = [(part, packaged) for part in wanted if (packaged := packages[part.key]) is not None]
        if self.options.export_images and images is not None:
            delivery = ImageDelivery(self.run, self.options, self.connector, self.file_log, images)
            self.failures += delivery.deliver(ready)
        self._deliver_data(ready)
        self.file_log.flush()
        self._raise_failures([key for key, packaged in packages.items() if packaged is None], len(wanted))
        deliver_sidecars(self.run, self.options, self.connector, self.file_log, self.data)
        return write_receipt(self.run, self.options, self.connector, self.file_log, self.data)

    def _raise_failures(self, unready: list[str], wanted: int) -> None:
        """No manifest and no marker unless everything else is there."""
        transient = [error for error in self.failures if isinstance(error, TransientError)]
        if self.failures:
            first = (transient or self.failures)[0]
            kind = TransientError if transient else TerminalError
            raise kind(
                f"{len(self.failures)} files could not be delivered, the first: {first.what}",
                where=first.where,
                action=first.action,
                remedy=first.remedy,
            )
        if unready:
            others = "the others are delivered, without manifest and marker"
            raise TerminalError(
                f"{len(unready)} of {wanted} parts were not packaged ({', '.join(unready[:5])}); "
                f"{others if len(unready) < wanted else 'nothing is delivered'}",
                where=self.run.plan.customer,
                action=Action.OPERATOR,
                remedy="see the failed extract or validate task; when it has succeeded, clear this one",
            )

    def _deliver_data(self, ready: list[tuple[Part, dict[str, Any]]]) -> None:
        pending = list(self._next_files(ready))
        total = sum(file.packaged["bytes"] for file in pending)
        report = ProgressReport(self.run.ledger, self.file_log.fence, f"data to {self.options.name}", total)
        rows = done = 0
        while pending:
            under_way = {file.path: file for file in pending}
            pending = []
            for result in self.connector.deliver(self._outgoing(file) for file in under_way.values()):
                file = under_way[result.path]
                if isinstance(result, Delivered):
                    self._record(file, result)
                    rows, done = rows + file.packaged["rows"], done + result.bytes
                    report(rows, done)
                elif isinstance(result.error, DestinationConflict) and file.revision < MAX_CONFLICTS:
                    log.warning(
                        "%s holds content that we did not deliver; trying the next revision", result.path
                    )
                    pending.append(self._after(file))
                else:
                    self.failures.append(result.error)

    def _next_files(self, ready: list[tuple[Part, dict[str, Any]]]) -> Iterator[_DataFile]:
        for part, packaged in ready:
            try:
                file = self._next_file(part, packaged)
            except OutfeedError as error:
                self.failures.append(error)
                continue
            if file is not None:
                yield file

    def _next_file(self, part: Part, packaged: dict[str, Any]) -> _DataFile | None:
        """What must be sent for a part; None if the destination has it, or nothing is wanted."""
        plan = self.run.plan
        logical = part.data_path(self.options.filename_style)
        revisions = self.run.ledger.revisions(plan.customer, self.options.location(), logical)
        if not revisions:
            return self._revised(part, packaged, 1, None) if packaged["wanted"] else None
        latest = revisions[-1]
        if is_known(latest, packaged):
            if not self._is_there(latest):
                return self._revised(part, packaged, latest.revision, latest.supersedes)
            unchanged = latest.run_id in self._announced
            self.data.append(self._delivered(part, packaged, latest, unchanged=unchanged))
            return None
        return self._revised(part, packaged, latest.revision + 1, latest.path)

    def _is_there(self, file: FileRecord) -> bool:
        """What was delivered counts as such (D28), unless its time is over and we remove it (DX-041)."""
        plan = self.run.plan
        if not self.connector.capabilities.temporary or file.run_id == plan.run_id:
            return True
        return self.run.ledger.links.offered(plan.customer, file.location, file.run_id, now())

    @cached_property
    def _announced(self) -> set[str]:
        """The runs whose receipts of this window are at the destination; this run adds its own at the end."""
        plan = self.run.plan
        receipts = self.run.ledger.deliveries_of_window(
            plan.customer, self.options.location(), plan.delivery, plan.start, plan.end
        )
        return {receipt.run_id for receipt in receipts}

    def _revised(
        self, part: Part, packaged: dict[str, Any], revision: int, supersedes: str | None
    ) -> _DataFile:
        sealed = sealed_package(self.run, self.options, part, packaged)
        return self._file(part, sealed, revision, supersedes)

    def _after(self, file: _DataFile) -> _DataFile:
        """The same content beside a file that we did not deliver."""
        return self._file(file.part, file.packaged, file.revision + 1, file.path)

    def _file(self, part: Part, packaged: dict[str, Any], revision: int, supersedes: str | None) -> _DataFile:
        style = self.options.filename_style
        path = part.data_path(style, revision) + self.options.encrypted_suffix
        return _DataFile(
            part=part,
            packaged=packaged,
            logical_path=part.data_path(style),
            revision=revision,
            path=path,
            supersedes=supersedes,
            unfinished=self._unfinished(path, packaged),
        )

    def _outgoing(self, file: _DataFile) -> Outgoing:
        def opened() -> BinaryIO:
            return self.run.staging.open_chain(file.packaged["segments"])

        return Outgoing(
            path=file.path,
            open=opened,
            size=file.packaged["bytes"],
            sha256=file.packaged["sha256"],
            content_type=_ENCRYPTED if "sealed" in file.packaged else file.part.content_type,
            unfinished=file.unfinished,
        )

    def _unfinished(self, path: str, packaged: dict[str, Any]) -> TrackedUpload | None:
        key = UploadKey(
            customer=self.run.plan.customer,
            location=self.options.location(),
            path=path,
            size=packaged["bytes"],
            sha256=packaged["sha256"],
        )
        return tracked_upload(self.run.ledger, self.file_log.fence, key)

    def _record(self, file: _DataFile, result: Delivered) -> None:
        record = FileRecord(
            customer=self.run.plan.customer,
            location=self.options.location(),
            path=file.path,
            logical_path=file.logical_path,
            revision=file.revision,
            kind=FileKind.DATA,
            state=FileState.DELIVERED,
            run_id=self.run.plan.run_id,
            destination=self.options.name,
            part=file.part.key,
            rows=file.packaged["rows"],
            bytes=result.bytes,
            sha256=result.sha256,
            verified=result.verified,
            supersedes=file.supersedes,
            **file.packaged.get("sealed", {}),
        )
        self.file_log.add(record)
        if file.unfinished is not None:
            file.unfinished.clear()
        self.data.append(self._delivered(file.part, file.packaged, record, unchanged=False))

    @staticmethod
    def _delivered(
        part: Part, packaged: dict[str, Any], record: FileRecord, *, unchanged: bool
    ) -> DeliveredData:
        details = {name: value for name, value in packaged["details"].items() if name != "md5"}
        # That of an encrypted file can't be computed again.
        md5 = record.md5 if record.encryption else packaged["details"].get("md5")
        return DeliveredData(
            part=part.key,
            subject=part.subject,
            media_type=part.media_type,
            compression=part.compression.value if part.compression is not Compression.NONE else None,
            record=record,
            rejected=packaged["rejected"],
            unchanged=unchanged,
            details=details | ({"md5": md5} if md5 else {}),
        )
