"""Row ends of a COPY on Unix, which are LF, to the CRLF of RFC 4180 (VI-C01)."""

from __future__ import annotations

from typing import Final

from outfeed.errors import Action, TerminalError
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.row_cuts import without_escaped

_LF: Final = b"\n"

#: Stands for a break within an enclosure; PostgreSQL's text never holds it.
_MARK: Final = b"\x00"


class CrlfConverter:
    """Guarantees that every LF that ends a row becomes the dialect's line end, nothing else changes (VI-C01).

    Takes PostgreSQL's `COPY … TO STDOUT (FORMAT csv)` with the dialect's separator, enclosure and escape
    character, cut into blocks anywhere. If the dialect replaces line breaks, they must have been replaced.
    """

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._enclosure = dialect.enclosure.encode()
        self._escape = dialect.escape.encode()
        self._line_end = dialect.line_end
        self._anywhere = dialect.line_break is not None
        self._inside = False
        self._held = b""

    def feed(self, block: bytes) -> bytes:
        """The next bytes of the file; blocks of about a megabyte are fastest."""
        if self._line_end == b"\n":
            return block
        if self._anywhere:
            return block.replace(b"\n", self._line_end)
        block = self._held + block
        self._held = b""
        if self._escape != self._enclosure:
            # An odd escape character at the end belongs to what the next block begins with.
            odd = (len(block) - len(block.rstrip(self._escape))) % 2
            self._held = self._escape * odd
            block = block[: len(block) - odd]
        return self._converted(block)

    def finish(self) -> bytes:
        """The rest of the file.

        Raises:
            TerminalError: it ended within an enclosure.
        """
        if self._inside:
            raise TerminalError(
                "the database's CSV ended in the middle of a value",
                action=Action.ENGINEER,
                remedy="check that the statement and the reader use the same enclosure and escape character",
            )
        rest, self._held = self._held, b""
        return rest

    def _converted(self, block: bytes) -> bytes:
        """A break ends a row if the enclosures up to it are even in number; a doubled one does not matter."""
        import numpy as np

        masked = np.frombuffer(without_escaped(block, self._dialect), dtype=np.uint8)
        enclosures = np.flatnonzero(masked == self._enclosure[0])
        inside, self._inside = self._inside, self._inside ^ (len(enclosures) % 2 == 1)
        breaks = np.flatnonzero(masked == _LF[0])
        within = breaks[np.searchsorted(enclosures, breaks) % 2 != inside]
        if not len(within):
            return block.replace(_LF, self._line_end)
        marked = np.frombuffer(block, dtype=np.uint8).copy()
        marked[within] = _MARK[0]
        return marked.tobytes().replace(_LF, self._line_end).replace(_MARK, _LF)
