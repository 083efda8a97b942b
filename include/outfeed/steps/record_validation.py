"""Records against their JSON Schema: what breaks it goes to quarantine, images are looked up."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from outfeed.config.models import ValidationConfig
from outfeed.errors import Action, ConfigError, TerminalError, TransientError
from outfeed.ledger.records import Fence
from outfeed.plan import Part
from outfeed.sources.base import OpenStaged, Source
from outfeed.steps.context import ProgressReport, RunContext
from outfeed.steps.image_list import NameSet, write_image_list
from outfeed.steps.record_check import RecordCheck

log = logging.getLogger(__name__)

#: The step whose folder in staging the files go to.
STEP = "validate"


class RecordValidation:
    """One part under way."""

    def __init__(self, run: RunContext, fence: Fence, part: Part, source: Source, images: Any | None) -> None:
        self._run = run
        self._fence = fence
        self._part = part
        self._source = source
        self._store = images

    def result(self, extracted: dict[str, Any]) -> dict[str, Any]:
        """What the step publishes for the part."""
        inspector = self._source.inspector(self._part)
        with NameSet() as names:
            check = RecordCheck(
                self._part, inspector, self._open_staged, names.add if self._part.images else _ignore
            )
            check.run(
                (self._run.staging.open_read(segment) for segment in extracted["segments"]),
                extracted["bytes"],
                ProgressReport(
                    self._run.ledger, self._fence, f"checked {self._part.key}", extracted["bytes"]
                ),
            )
            self._account(check, extracted)
            images, present, missing = self._list_images(names, extracted)
            noticed = Counter(extracted["noticed"]) + inspector.noticed
            if names.unusable:
                noticed["analysed image whose name is no <uuid><extension>: left out"] = names.unusable
        log.info(
            "checked %s: %d valid, %d rejected, %d images, %d of them missing",
            self._part.key,
            check.rows,
            check.rejected,
            present + missing,
            missing,
        )
        return {
            "segments": [check.records],
            "rows": check.rows,
            "bytes": check.bytes,
            "sha256": check.sha256,
            "rejected": check.rejected,
            "quarantine": check.quarantine,
            "reasons": check.reasons,
            "images": images,
            "images_present": present,
            "images_missing": missing,
            "noticed": dict(noticed),
            "details": {},
        }

    def _account(self, check: RecordCheck, extracted: dict[str, Any]) -> None:
        """Nothing was lost on the way, and not too much was rejected."""
        found = {"rows": check.rows + check.rejected, "bytes": check.read}
        if found != {"rows": extracted["rows"], "bytes": extracted["bytes"]}:
            raise TransientError(
                f"{extracted['rows']} records in {extracted['bytes']} bytes were staged, but "
                f"{found['rows']} in {found['bytes']} are there",
                where=self._part.key,
                action=Action.OPERATOR,
                remedy="clear the run from the task 'plan' on; if it happens again, check the storage",
            )
        limit = _exceeded(self._run.plan.customer_config.validation, check)
        if limit:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in list(check.reasons.items())[:3])
            raise TerminalError(
                f"{check.rejected} of {extracted['rows']} records were rejected, {limit}; mostly: {reasons}; "
                f"all of them: {self._run.staging.path(str(check.quarantine))}",
                where=self._part.key,
                action=Action.OPERATOR,
                remedy="have the platform's records corrected and run the window again, or raise the limit",
            )

    def _list_images(self, names: NameSet, extracted: dict[str, Any]) -> tuple[str | None, int, int]:
        if not self._part.images:
            return None, 0, 0
        if self._store is None:
            raise ConfigError(
                "the part wants its images, but there is no image store",
                where=self._part.key,
                remedy="set source.images_uri",
            )
        if extracted["images"] is not None:
            with self._run.staging.open_read(extracted["images"]) as listed:
                names.add_lines(listed)
        report = ProgressReport(self._run.ledger, self._fence, f"images of {self._part.key}")
        path, stream = self._open_staged("images.jsonl")
        present, missing = write_image_list(names, self._store, stream, lambda count: report(count, 0))
        return path, present, missing

    @property
    def _open_staged(self) -> OpenStaged:
        return lambda name: self._run.staging.open_write(STEP, self._part.key, name)


def _ignore(names: list[str]) -> None:
    """The part does not want its images."""


def _exceeded(limits: ValidationConfig, check: RecordCheck) -> str:
    """The limit that the rejected records exceed, in words; empty if they keep within all."""
    records, percent = limits.max_rejected_records, limits.max_rejected_percent
    if records is not None and check.rejected > records:
        return f"more than the {records} that validation.max_rejected_records allows"
    total = check.rows + check.rejected
    if percent is not None and total and 100 * check.rejected / total > percent:
        return f"more than the {percent:g} % that validation.max_rejected_percent allows"
    return ""
