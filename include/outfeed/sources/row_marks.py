"""Where rows end in a COPY, told by the database itself: cheaper than to look for it among the enclosures."""

from __future__ import annotations

import secrets
import string

from outfeed.errors import Action, TransientError
from outfeed.formats.csv_dialect import CsvDialect

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 8


class RowMarks:
    """Guarantees that every row ends as the dialect wants and that breaks within values stay (VI-C01).

    The statement gives `mark` as one more column, which nobody can have put into the data: with the line feed
    behind it, it becomes the line end. Were it in the data nevertheless, the rows would not add up.
    """

    def __init__(self, dialect: CsvDialect) -> None:
        special = dialect.separator + dialect.enclosure + dialect.escape
        letters = [letter for letter in _LETTERS if letter not in special]
        self.mark = "".join(secrets.choice(letters) for _ in range(_LENGTH))
        self._end = f"{dialect.separator}{self.mark}\n".encode()
        self._line_end = dialect.line_end
        self._held = b""
        self._rows = 0

    def feed(self, block: bytes) -> bytes:
        """The next bytes of the file."""
        *rows, rest = (self._held + block).split(self._end)
        self._rows += len(rows)
        # The beginning of an end may be among the last bytes.
        sure = max(0, len(rest) - len(self._end) + 1)
        self._held = rest[sure:]
        return self._line_end.join((*rows, rest[:sure]))

    def finish(self) -> bytes:
        """The rest of the file."""
        return self._held

    def require(self, rows: int) -> None:
        """Must be called in the end.

        Raises:
            TransientError: the database counted other rows.
        """
        if self._held or self._rows != rows:
            raise TransientError(
                f"the database gave {rows} rows, of which {self._rows} were found in its CSV",
                action=Action.ENGINEER,
                remedy="nothing: the next try marks the rows otherwise; report it if it happens again",
            )
