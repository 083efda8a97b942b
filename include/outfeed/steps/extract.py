"""Second step: reads the parts of a group from the source into staging."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from outfeed.ledger.records import Fence, PartRecord, RunState
from outfeed.plan import Part
from outfeed.sources.base import Reader, Source
from outfeed.steps.context import ProgressReport, RunContext
from outfeed.steps.parts import for_each_part

log = logging.getLogger(__name__)

STEP = "extract"


def extract(run: RunContext, group: int, source: Source) -> dict[str, Any]:
    """Every part of the group is in staging, each read once from one snapshot; done ones are not redone.

    Returns:
        Numbers of parts, rows and bytes.
    """

    with source.reading() as reader:

        def work(fence: Fence, part: Part) -> dict[str, Any]:
            done = run.staging.result(STEP, part.key)
            if done is None:
                done = run.staging.publish(STEP, part.key, _read(run, fence, part, reader))
                _record(run, fence, part, done)
            return done

        return for_each_part(run, STEP, group, work)


def _read(run: RunContext, fence: Fence, part: Part, reader: Reader) -> dict[str, Any]:
    expected = run.ledger.part_weights(run.plan.customer).get(part.key)
    report = ProgressReport(run.ledger, fence, f"read {part.key}", expected)
    extracted = reader.extract(part, lambda name: run.staging.open_write(STEP, part.key, name), report)
    log.info(
        "read %s %s: %d rows (%d late), %.1f MB in %d segments, slowest statement %.1f s, %d without a place",
        part.key,
        part.window,
        extracted.rows,
        extracted.late,
        extracted.bytes / 1e6,
        len(extracted.segments),
        extracted.longest_query_seconds,
        extracted.unplaced,
    )
    return dataclasses.asdict(extracted)


def _record(run: RunContext, fence: Fence, part: Part, done: dict[str, Any]) -> None:
    run.ledger.record_part(
        fence,
        PartRecord(
            key=part.key,
            state=RunState.RUNNING,
            rows_read=done["rows"],
            bytes=done["bytes"],
            unplaced=done["unplaced"],
            longest_query_seconds=done["longest_query_seconds"],
            rows_late=done["late"],
            read_state=done["read_state"],
        ),
    )
