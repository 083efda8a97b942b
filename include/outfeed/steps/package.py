"""Third step: decides what files a part becomes, under which names."""

from __future__ import annotations

import logging
from typing import Any

from outfeed.errors import Action, OutfeedError, TransientError
from outfeed.plan import Part
from outfeed.steps.context import PartFailures, RunContext
from outfeed.steps.sealing import is_known, sealed_package

log = logging.getLogger(__name__)

STEP = "package"


def package(run: RunContext, group: int) -> dict[str, Any]:
    """Every validated part of the group has a published package: its file, or none, and its counts.

    A part that did not get through validation is left out; it does not hold up the others.

    Returns:
        Numbers of parts, rows and bytes.
    """
    fence = run.begin(STEP, f"group-{group}")
    failures = PartFailures(run.ledger, fence)
    summary = {"parts": 0, "rows": 0, "bytes": 0}
    for part in run.plan.group(group):
        validated = run.staging.result("validate", part.key)
        if validated is None:
            continue
        try:
            packaged = run.staging.publish(STEP, part.key, _package(run, part, validated))
        except OutfeedError as error:
            failures.add(part.key, error)
            continue
        _seal(run, part, packaged)
        summary["parts"] += 1
        summary["rows"] += packaged["rows"]
        summary["bytes"] += packaged["bytes"]
    return failures.finish(summary)


def _seal(run: RunContext, part: Part, packaged: dict[str, Any]) -> None:
    """Encrypts for the destinations that want it and lack this content, so that their uploads need not.

    What fails here fails there again, and there it fails only the destination whose key it is.
    """
    for options in map(run.plan.destination, run.plan.destinations):
        if options.encryption is None or not options.receives(part.subject):
            continue
        logical = part.data_path(options.filename_style)
        revisions = run.ledger.revisions(run.plan.customer, options.location(), logical)
        known = is_known(revisions[-1], packaged) if revisions else not packaged["wanted"]
        if known:
            continue
        try:
            sealed_package(run, options, part, packaged)
        except OutfeedError as error:
            log.warning("part %s is not encrypted for %s yet: %s", part.key, options.name, error)


def _package(run: RunContext, part: Part, validated: dict[str, Any]) -> dict[str, Any]:
    """The validated file is delivered as it stands; an empty one only if the customer wants it.

    `wanted` says so; upload overrides it where an empty file must supersede one that had rows.
    """
    staged = [run.staging.path(segment) for segment in validated["segments"]]
    size = sum(path.fs.size(path.path) for path in staged)
    if size != validated["bytes"]:
        raise TransientError(
            f"the staged file has {size} bytes instead of {validated['bytes']}",
            where=", ".join(map(str, staged)),
            action=Action.OPERATOR,
            remedy="clear the run from the task 'plan' on; if it happens again, check the staging storage",
        )
    return {
        "segments": validated["segments"],
        "wanted": validated["rows"] > 0 or run.plan.config["empty_window"] == "file",
        "rows": validated["rows"],
        "bytes": validated["bytes"],
        "sha256": validated["sha256"],
        "rejected": validated["rejected"],
        "images": validated["images"],
        "details": validated["details"],
    }
