"""Judges a block of lines: which may be delivered, why the others may not, which images are named."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from outfeed.contracts import Contract
from outfeed.sources.base import RecordRejected

if TYPE_CHECKING:
    from outfeed.sources.base import Inspector


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A line that may not be delivered: where it lies in its block, and what is wrong with it.

    Attributes:
        start, end: offsets of the line, without its line end.
        kinds: the reasons without positions in lists, for counting.
    """

    start: int
    end: int
    reasons: list[str]
    kinds: set[str]


@dataclasses.dataclass
class Verdict:
    """What became of the lines of a block: each is counted in `rows` or stands in `rejected`, in order."""

    rows: int = 0
    rejected: list[Rejected] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)

    def good(self, block: bytes) -> bytes:
        """The judged block without its rejected lines."""
        if not self.rejected and block.endswith(b"\n"):
            return block
        pieces, start = [], 0
        for line in self.rejected:
            pieces.append(block[start : line.start])
            start = line.end + 1
        kept = b"".join([*pieces, block[start:]])
        return kept if not kept or kept.endswith(b"\n") else kept + b"\n"


def check_block(contract: Contract, inspector: Inspector, block: bytes) -> Verdict:
    """The verdict on a block of whole lines, of which the last one may lack its line end."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    verdict, start = Verdict(), 0
    for line in lines:
        end = start + len(line)
        reasons, kinds = _judge(contract, inspector, line, verdict.names)
        if reasons:
            verdict.rejected.append(Rejected(start, end, reasons, kinds))
        else:
            verdict.rows += 1
        start = end + 1
    return verdict


_NOTHING: tuple[list[str], set[str]] = ([], set())


def _judge(
    contract: Contract, inspector: Inspector, line: bytes, names: list[str]
) -> tuple[list[str], set[str]]:
    record, violations = contract.check(line)
    if violations:
        return [str(each) for each in violations], {each.kind for each in violations}
    try:
        names += inspector.images(record)
    except RecordRejected as error:
        return [str(error)], {str(error)}
    return _NOTHING
