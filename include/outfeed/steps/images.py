"""Images of a run to one destination: each once, missing ones listed and tried again by later runs."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import orjson

from outfeed.connectors.base import Connector, Delivered, DestinationOptions, Outgoing
from outfeed.connectors.encryption import SUFFIXES
from outfeed.errors import DestinationConflict, OutfeedError
from outfeed.ledger.records import FileKind, FileRecord, FileState
from outfeed.plan import Part
from outfeed.steps.context import ProgressReport, RunContext
from outfeed.steps.file_log import MAX_CONFLICTS, FileLog
from outfeed.steps.image_list import image_sizes
from outfeed.steps.sealing import seal, sealed_fields

log = logging.getLogger(__name__)

#: Ledger look-ups at a time.
_BATCH = 500


@dataclasses.dataclass(frozen=True)
class _Image:
    path: str
    name: str
    size: int | None
    present: bool
    part: str | None


@dataclasses.dataclass
class ImageDelivery:
    """Delivers the images of all parts that the ledger does not know as delivered (D15, DX-056, DX-106)."""

    run: RunContext
    options: DestinationOptions
    connector: Connector
    file_log: FileLog
    store: Any
    _gone: set[str] = dataclasses.field(default_factory=set)
    #: Of images under way that are encrypted: what their encrypted form is.
    _sealed: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def deliver(self, ready: Sequence[tuple[Part, dict[str, Any]]]) -> list[OutfeedError]:
        """Every image is delivered, or in the ledger as missing, or its failure is in the returned list."""
        failures: list[OutfeedError] = []
        conflicts: dict[str, _Image] = {}
        report = ProgressReport(self.run.ledger, self.file_log.fence, f"images to {self.options.name}")
        count = done = 0
        under_way: dict[str, _Image] = {}
        for result in self.connector.deliver(self._outgoing(self._wanted(ready), under_way)):
            image = under_way.pop(result.path)
            if isinstance(result, Delivered):
                self._record(image, result.path, revision=1, delivered=result)
                count, done = count + 1, done + result.bytes
                report(count, done)
            elif result.path in self._gone:
                self._record(image, result.path, revision=1, delivered=None)
            elif isinstance(result.error, DestinationConflict):
                conflicts[result.path] = image
            else:
                failures.append(result.error)
        failures += self._deliver_revised(conflicts)
        return failures

    def _deliver_revised(self, conflicts: dict[str, _Image]) -> list[OutfeedError]:
        """The destination holds other bytes under an image's name: ours goes beside it (D27)."""
        failures: list[OutfeedError] = []
        revision = 1
        while conflicts:
            revision += 1
            revised = {_revised_path(image.path, revision): image for image in conflicts.values()}
            conflicts = {}
            files = (self._opened(path, image) for path, image in revised.items())
            for result in self.connector.deliver(files):
                image = revised[result.path]
                if isinstance(result, Delivered):
                    log.warning("%s was taken; delivered as %s", image.path, result.path)
                    self._record(image, result.path, revision=revision, delivered=result)
                elif isinstance(result.error, DestinationConflict) and revision < MAX_CONFLICTS:
                    conflicts[result.path] = image
                else:
                    failures.append(result.error)
        return failures

    def _wanted(self, ready: Sequence[tuple[Part, dict[str, Any]]]) -> Iterator[_Image]:
        """Images of this run, then those that earlier runs found missing; without the delivered ones."""
        outstanding = {image.path: image for image in self._outstanding()}
        listed = (
            image
            for part, packaged in ready
            for image in self._listed(part, packaged)
            if image.path not in outstanding
        )
        for batch in _batches(itertools.chain(outstanding.values(), listed), _BATCH):
            known = self.run.ledger.files(
                self.run.plan.customer, self.options.location(), [image.path for image in batch]
            )
            for image in batch:
                record = known.get(image.path)
                if record is not None and record.state is FileState.DELIVERED:
                    continue
                if image.present:
                    yield image
                else:
                    self._record(image, image.path, revision=1, delivered=None)

    def _listed(self, part: Part, packaged: dict[str, Any]) -> Iterator[_Image]:
        if packaged["images"] is None:
            return
        with self.run.staging.open_read(packaged["images"]) as stream:
            for line in stream:
                entry = orjson.loads(line)
                yield _Image(
                    path=part.image_path(entry["name"]) + self.options.encrypted_suffix,
                    name=entry["name"],
                    size=entry["bytes"],
                    present=entry["state"] == "present",
                    part=part.key,
                )

    def _outstanding(self) -> Iterator[_Image]:
        records = self.run.ledger.outstanding_images(self.run.plan.customer, self.options.location())
        paths = [PurePosixPath(_without_suffix(record.path)) for record in records]
        sizes = image_sizes(self.store, [path.name for path in paths])
        for record, path, size in zip(records, paths, sizes, strict=True):
            if size is not None:
                # As the destination wants it now, whatever it wanted when the image was missed.
                wanted = f"{path}{self.options.encrypted_suffix}"
                yield _Image(path=wanted, name=path.name, size=size, present=True, part=record.part)

    def _outgoing(self, images: Iterable[_Image], under_way: dict[str, _Image]) -> Iterator[Outgoing]:
        for image in images:
            under_way[image.path] = image
            yield self._opened(image.path, image)

    def _opened(self, path: str, image: _Image) -> Outgoing:
        def opened() -> BinaryIO:
            target = self.store / image.name
            try:
                stream: BinaryIO = target.fs.open(target.path, "rb")
            except FileNotFoundError:
                self._gone.add(path)
                raise
            return stream

        def sealed() -> BinaryIO:
            made = self._sealed[path] = seal(self.run, self.options, image.path, opened)
            return self.run.staging.open_read(made["path"])

        if self.options.encryption is None:
            return Outgoing(path=path, open=opened, size=image.size)
        return Outgoing(path=path, open=sealed)

    def _record(self, image: _Image, path: str, *, revision: int, delivered: Delivered | None) -> None:
        self.file_log.add(
            FileRecord(
                customer=self.run.plan.customer,
                location=self.options.location(),
                path=path,
                logical_path=image.path,
                revision=revision,
                kind=FileKind.IMAGE,
                state=FileState.DELIVERED if delivered else FileState.MISSING,
                run_id=self.run.plan.run_id,
                destination=self.options.name,
                part=image.part,
                bytes=delivered.bytes if delivered else None,
                sha256=delivered.sha256 if delivered else None,
                verified=delivered.verified if delivered else None,
                supersedes=_revised_path(image.path, revision - 1) if revision > 1 else None,
                **(sealed_fields(made) if (made := self._sealed.pop(path, None)) and delivered else {}),
            )
        )


def _revised_path(path: str, revision: int) -> str:
    if revision == 1:
        return path
    plain = _without_suffix(path)
    pure = PurePosixPath(plain)
    return str(pure.with_name(f"{pure.stem}__r{revision}{pure.suffix}")) + path.removeprefix(plain)


def _without_suffix(path: str) -> str:
    """The path of an image as it would be unencrypted."""
    for suffix in SUFFIXES:
        path = path.removesuffix(suffix)
    return path


def _batches(images: Iterable[_Image], size: int) -> Iterator[list[_Image]]:
    iterator = iter(images)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
