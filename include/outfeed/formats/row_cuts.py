"""Where rows end in a CSV, found without parsing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from outfeed.errors import Action, TerminalError
from outfeed.formats.csv_dialect import CsvDialect

#: No row is longer but in a damaged file.
_LONGEST: Final = 512 << 20


def whole_rows(stream: BinaryIO, dialect: CsvDialect, size: int) -> Iterator[bytes]:
    """Guarantees that each piece holds whole rows and that all pieces together are the rest of the stream.

    Args:
        size: of a piece, but for a row that is longer.

    Raises:
        TerminalError: the last row has no end, or another one than the dialect's.
    """
    pieces = b""
    while block := read_up_to(stream, max(size, len(pieces))):
        pieces += block
        end = _last_row_end(pieces, dialect)
        if end:
            yield pieces[:end]
            pieces = pieces[end:]
        elif len(pieces) > _LONGEST:
            break
    if pieces:
        raise TerminalError(
            "the file can't be read: it ends in the middle of a row or has other line ends",
            action=Action.ENGINEER,
            remedy="report it with the name of the table: the file was not delivered",
        )


def without_escaped(block: bytes, dialect: CsvDialect) -> bytes:
    """The block with all bytes in their place, but for enclosures that are escaped.

    The block must not begin between an escape character and what it escapes.
    """
    if dialect.escape == dialect.enclosure or dialect.escape.encode() not in block:
        return block
    for pair in (dialect.escape * 2, dialect.escape + dialect.enclosure):
        block = block.replace(pair.encode(), b"\x00\x00")
    return block


def read_up_to(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as asked for, fewer only at the end: the same file is always cut at the same places."""
    blocks = []
    while size > 0 and (block := stream.read(size)):
        blocks.append(block)
        size -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _last_row_end(rows: bytes, dialect: CsvDialect) -> int:
    """Behind the last line end that no enclosure holds; the enclosures up to it are even in number."""
    masked, enclosure, line_end = without_escaped(rows, dialect), dialect.enclosure.encode(), dialect.line_end
    end = masked.rfind(line_end)
    odd = masked.count(enclosure, 0, max(end, 0)) % 2
    while end >= 0 and odd:
        # Within a value, which may hold many line ends: on to those before it.
        opening = masked.rfind(enclosure, 0, end)
        end = masked.rfind(line_end, 0, opening)
        odd = masked.count(enclosure, max(end, 0), opening) % 2
    return end + len(line_end) if end >= 0 else 0
