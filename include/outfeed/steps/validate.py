"""Third step: every record or row is checked by a reader that did not write it."""

from __future__ import annotations

from typing import Any

from outfeed.ledger.records import Fence, PartRecord, RunState
from outfeed.plan import Part
from outfeed.sources.base import Source
from outfeed.steps.context import RunContext
from outfeed.steps.extract import STEP as EXTRACT
from outfeed.steps.parts import for_each_part
from outfeed.steps.record_validation import STEP, RecordValidation
from outfeed.steps.table_validation import validate_table


def validate(run: RunContext, group: int, source: Source, images: Any | None) -> dict[str, Any]:
    """Every extracted part of the group has a file of valid rows; rows read = valid + quarantined.

    A part that was not extracted is left out; done ones are not redone.

    Args:
        images: root of the image store, a UPath or alike; needed if a part wants its images.

    Returns:
        Numbers of parts, valid rows and bytes.
    """

    def work(fence: Fence, part: Part) -> dict[str, Any] | None:
        extracted = run.staging.result(EXTRACT, part.key)
        if extracted is None:
            return None
        done = run.staging.result(STEP, part.key)
        if done is None:
            if part.table is None:
                checked = RecordValidation(run, fence, part, source, images).result(extracted)
            else:
                checked = validate_table(run, fence, part, part.table, extracted)
            done = run.staging.publish(STEP, part.key, checked)
        _record(run, fence, part, extracted, done)
        return done

    return for_each_part(run, STEP, group, work)


def _record(
    run: RunContext, fence: Fence, part: Part, extracted: dict[str, Any], done: dict[str, Any]
) -> None:
    run.ledger.record_part(
        fence,
        PartRecord(
            key=part.key,
            state=RunState.COMPLETE,
            rows_read=extracted["rows"],
            rows_valid=done["rows"],
            rows_rejected=done["rejected"],
            bytes=done["bytes"],
            sha256=done["sha256"],
            unplaced=extracted["unplaced"],
            images=done["images_present"],
            images_missing=done["images_missing"],
            longest_query_seconds=extracted["longest_query_seconds"],
            rows_late=extracted["late"],
            read_state=extracted["read_state"],
        ),
    )
