"""What a delivery consists of: manifest, checksum list, image list and completion marker.

They live in `_outfeed/<export type>/<window>/` beside the site folders, and none of them ends in `.json`,
so that a loader which globs the documented tree `<site_id>/data/<export type>/*.json` (or even `**/*.json`)
never meets them. The same delivery has the same bytes: nothing here reads a clock or counts tries.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from outfeed import __version__
from outfeed.connectors.base import FilenameStyle
from outfeed.ledger.records import FileRecord, FileState
from outfeed.plan import Plan
from outfeed.planning.work_orders import window_name
from outfeed.windows import format_instant

#: Readers must ignore fields that they do not know; this grows only when one changes its meaning.
MANIFEST_VERSION = 1

MANIFEST = "MANIFEST"
IMAGES = "IMAGES"
CHECKSUMS = "SHA256SUMS"
MARKER = "_SUCCESS"

#: What a manifest calls the subject of a file, and those of all files.
_SUBJECTS = {"site": ("site_id", "sites"), "entity": ("entity", "entities")}

_NAMESPACE = uuid.UUID("7c1f2a52-9d0e-5b1a-8f43-0a6f3d3c9e10")


@dataclasses.dataclass(frozen=True)
class DeliveredData:
    """One data file as the customer finds it."""

    part: str
    subject: str
    media_type: str
    compression: str | None
    record: FileRecord
    rejected: int
    unchanged: bool
    #: What only this kind of file has: columns, dialect, late rows.
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


def delivery_folder(plan: Plan, style: FilenameStyle, revision: int) -> str:
    """Folder of a delivery's own files, below the destination's base."""
    suffix = "" if revision == 1 else f"__r{revision}"
    return f"_outfeed/{plan.delivery}/{window_name(plan.window, style)}{suffix}"


def delivery_id(plan: Plan, location: str, revision: int) -> str:
    """An id that the same delivery always has."""
    bounds = (format_instant(plan.start), format_instant(plan.end))
    name = "\n".join([plan.customer, location, plan.delivery, *bounds, str(revision)])
    return str(uuid.uuid5(_NAMESPACE, name))


def manifest_bytes(
    plan: Plan,
    *,
    location: str,
    revision: int,
    data: Iterable[DeliveredData],
    receives: Callable[[str], bool],
    images: dict[str, int],
    schema: dict[str, str] | None,
    atomicity: str,
) -> bytes:
    """The manifest: one JSON document (fields: docs/delivery.md).

    Args:
        receives: whether a site's or entity's files go to this destination.
        images: counts `delivered` and `missing`, and `bytes`.
        schema: id and sha256 of the JSON Schema that every row obeys; None for tables.
        atomicity: how files become visible at this destination.
    """
    config = plan.customer_config
    ordered = sorted(data, key=lambda item: item.record.path)
    files = [_file_entry(item, _SUBJECTS[config.subject][0]) for item in ordered]
    document: dict[str, Any] = {
        "manifest_version": MANIFEST_VERSION,
        "delivery_id": delivery_id(plan, location, revision),
        "customer": plan.customer,
        "dataset": plan.parts[0].dataset,
        "export_type": plan.delivery,
        "reason": str(plan.reason),
        "window": {
            "start": format_instant(plan.start),
            "end": format_instant(plan.end),
            "bounds": "[start, end)",
        },
        "time_zone": config.days_in,
        "revision": revision,
        "supersedes": delivery_id(plan, location, revision - 1) if revision > 1 else None,
        "schema": schema,
        "atomicity": atomicity,
        _SUBJECTS[config.subject][1]: sorted({part.subject for part in plan.parts if receives(part.subject)}),
        "omitted": {key: why for key, why in plan.omitted.items() if receives(key.rpartition("/")[2])},
        "files": files,
        "images": images,
        "totals": {
            "files": len(files),
            "rows": sum(item["rows"] for item in files),
            "bytes": sum(item["bytes"] for item in files),
            "rejected_rows": sum(item["rejected_rows"] for item in files),
        },
        "tool": f"outfeed {__version__}",
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _file_entry(item: DeliveredData, subject: str) -> dict[str, Any]:
    record = item.record
    return {
        "path": record.path,
        "part": item.part,
        subject: item.subject,
        "media_type": item.media_type,
        "compression": item.compression,
        "encryption": record.encryption,
        "rows": record.rows or 0,
        "bytes": record.bytes or 0,
        "sha256": record.sha256,
        "rejected_rows": item.rejected,
        "revision": record.revision,
        "supersedes": record.supersedes,
        "unchanged": item.unchanged,
        **_plain(record),
        **item.details,
    }


def _plain(record: FileRecord) -> dict[str, Any]:
    """What an encrypted file is when it is decrypted."""
    if record.encryption is None:
        return {}
    return {"plain_bytes": record.plain_bytes, "plain_sha256": record.plain_sha256}


def image_lines(images: Iterable[FileRecord]) -> Iterator[bytes]:
    """The image list: one JSON object per image of this delivery, missing ones too (design §4.2)."""
    for image in images:
        missing = image.state is FileState.MISSING
        yield orjson.dumps(
            {
                "path": image.path,
                "state": str(image.state),
                "bytes": None if missing else image.bytes,
                "sha256": None if missing else image.sha256,
                **({} if image.encryption is None else {"encryption": image.encryption, **_plain(image)}),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


def checksum_line(sha256: str, path: str) -> bytes:
    """One line that `sha256sum -c` understands, run from the destination's base."""
    return f"{sha256}  {path}\n".encode()


def marker_bytes(plan: Plan, *, location: str, revision: int, manifest_sha256: str) -> bytes:
    """The completion marker: written last; names the manifest that it completes."""
    document = {
        "delivery_id": delivery_id(plan, location, revision),
        "revision": revision,
        "manifest_sha256": manifest_sha256,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
