"""Tables: an independent parser reads the file again and finds the rows and types that the source gave."""

from __future__ import annotations

import hashlib
import io
import logging
from typing import Any, BinaryIO, cast

from outfeed.errors import Action, TransientError
from outfeed.formats.columns import Column
from outfeed.formats.compression import open_decompressed
from outfeed.formats.table_check import TableCounts, check_csv, check_parquet
from outfeed.ledger.records import Fence
from outfeed.plan import Part, TableRead
from outfeed.steps.context import ProgressReport, RunContext

log = logging.getLogger(__name__)

_BLOCK = 1 << 20


def validate_table(
    run: RunContext, fence: Fence, part: Part, table: TableRead, extracted: dict[str, Any]
) -> dict[str, Any]:
    """What the step publishes for a table's file: it is delivered as it was written, so it has no quarantine.

    Raises:
        TransientError: staging holds other bytes than the source wrote.
        TerminalError: the parser finds other rows, columns or types than the source reported.
    """
    columns = [Column(**column) for column in extracted["columns"]]
    report = ProgressReport(run.ledger, fence, f"checked {part.key}", extracted["bytes"])
    hashed = HashingReader(run.staging.open_chain(extracted["segments"]), part.md5, report)
    with hashed:
        if table.format == "csv":
            counts = check_csv(
                open_decompressed(cast("BinaryIO", hashed), part.compression), columns, table.csv.dialect()
            )
        else:
            (segment,) = extracted["segments"]
            with run.staging.open_read(segment) as stream:
                counts = check_parquet(stream, columns)
        hashed.drain()
    _require_equal(part, extracted, counts, hashed.bytes)
    log.info(
        "checked %s: %d rows of %d columns, %.1f MB", part.key, counts.rows, len(columns), hashed.bytes / 1e6
    )
    return {
        "segments": extracted["segments"],
        "rows": counts.rows,
        "bytes": hashed.bytes,
        "sha256": hashed.sha256,
        "rejected": 0,
        "quarantine": None,
        "reasons": {},
        "images": None,
        "images_present": 0,
        "images_missing": 0,
        "noticed": extracted["noticed"],
        "details": _details(part, table, extracted, hashed.md5),
    }


def _require_equal(part: Part, extracted: dict[str, Any], counts: TableCounts, size: int) -> None:
    found = {"rows": counts.rows, "bytes": size}
    if found != {"rows": extracted["rows"], "bytes": extracted["bytes"]}:
        raise TransientError(
            f"the source gave {extracted['rows']} rows in {extracted['bytes']} bytes, but a reader finds "
            f"{counts.rows} in {size}",
            where=part.key,
            action=Action.OPERATOR,
            remedy="clear the run from the task 'plan' on; if it happens again, check the staging storage",
        )


def _details(part: Part, table: TableRead, extracted: dict[str, Any], md5: str | None) -> dict[str, Any]:
    """What the manifest says of a table's file besides what all files have."""
    dialect = {"csv": table.csv.model_dump(mode="json")} if table.format == "csv" else {}
    return {
        "mode": part.mode,
        "read_at": extracted["read_at"],
        "late_rows": extracted["late"],
        "columns": [
            {key: value for key, value in column.items() if value is not None}
            for column in extracted["columns"]
        ],
        **dialect,
        **({"md5": md5} if md5 else {}),
    }


class HashingReader(io.RawIOBase):
    """Passes a stream on, and knows its digests and size when it has been read to its end."""

    def __init__(self, stream: BinaryIO, md5: bool, report: ProgressReport) -> None:
        self._stream = stream
        self._report = report
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self.bytes = 0

    def readable(self) -> bool:
        """See the base class."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See the base class."""
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        self._sha256.update(block)
        if self._md5 is not None:
            self._md5.update(block)
        self.bytes += len(block)
        self._report(0, self.bytes)
        return len(block)

    def drain(self) -> None:
        """Reads what a parser left, such as the end of a compressed stream."""
        while self.read(_BLOCK):
            pass

    def close(self) -> None:
        """See the base class."""
        self._stream.close()
        super().close()

    @property
    def sha256(self) -> str:
        """Of all bytes read."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str | None:
        """Of all bytes read, if it was asked for."""
        return None if self._md5 is None else self._md5.hexdigest()
