"""How a customer wants CSV files written: the options CSV_… of document 002 (VI-C01 to VI-C07)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Final, Literal

from outfeed.formats.columns import Column, Kind
from outfeed.formats.java_date import JavaDatePattern
from outfeed.formats.java_date_tokens import fixed_text

DEFAULT_DATE: Final = JavaDatePattern.parse("yyyy-MM-dd'T'HH:mm:ssZ")

#: Spreadsheets take text that begins so for a formula.
FORMULA_STARTS: Final = "=+-@\t\r"

_BREAK: Final = re.compile(r"\r\n|\n|\r")
_TEXTUAL: Final = frozenset((Kind.TEXT, Kind.JSON, Kind.UUID))


@dataclasses.dataclass(frozen=True)
class CsvDialect:
    """Guarantees options that can be read back without doubt; the defaults follow RFC 4180 (VI-C01).

    NULL is an empty value without enclosure, an empty text is enclosed.

    Attributes:
        header: whether the first line holds the columns' names (VI-C02).
        separator: between the values of a line, one ASCII character (VI-C03).
        enclosure: around values that need it, one ASCII character (VI-C05).
        escape: before an enclosure within one and, if it is another character, before itself (VI-C06).
        line_break: replaces each line break in a text; None leaves them (VI-C04).
        date: of date and time columns (VI-C07).
        quote: `text` encloses every text, also where it isn't needed.
        line_end: CRLF, as RFC 4180 wants it, or LF.
        formula_guard: puts a `'` before texts that spreadsheets would take for formulas: changes the data.
    """

    header: bool = True
    separator: str = ","
    enclosure: str = '"'
    escape: str = '"'
    line_break: str | None = None
    date: JavaDatePattern = DEFAULT_DATE
    quote: Literal["minimal", "text"] = "minimal"
    line_end: bytes = b"\r\n"
    formula_guard: bool = False

    def __post_init__(self) -> None:
        """Refuses what no reader could take apart again.

        Raises:
            ValueError: which options, and why.
        """
        for name in ("separator", "enclosure", "escape"):
            _check_character(name, getattr(self, name))
        if self.separator in (self.enclosure, self.escape):
            other = "enclosure" if self.separator == self.enclosure else "escape character"
            raise ValueError(
                f"field separator and {other} are both {self.separator!r}: take different characters"
            )
        self._check_line_break()
        if self.quote not in ("minimal", "text"):
            raise ValueError(f"quote is {self.quote!r}: it can be minimal or text")
        if self.line_end not in (b"\r\n", b"\n"):
            raise ValueError(f"the line end is {self.line_end!r}: it can be CRLF or LF")

    @property
    def encloses_text(self) -> bool:
        """Whether every text is enclosed: outside, readers differ about an escape character."""
        return self.quote == "text" or self.escape != self.enclosure

    def encloses(self, kind: Kind) -> bool:
        """Whether every value of a kind is enclosed that isn't NULL; the others are where they need it."""
        if kind in _TEXTUAL:
            return self.encloses_text
        if kind in (Kind.INSTANT, Kind.LOCAL) and self.escape != self.enclosure:
            return any(self.escape in (fixed_text(token) or "") for token in self.date.tokens)
        return False

    def line_break_in(self, kind: Kind) -> str | None:
        """What replaces a line break in values of a kind: in JSON, where it has no meaning, a space."""
        if kind == Kind.JSON and self.line_break is not None:
            return " "
        return self.line_break

    def enclosed(self, text: str) -> str:
        """A value between enclosures."""
        if self.escape != self.enclosure:
            text = text.replace(self.escape, self.escape * 2)
        return self.enclosure + text.replace(self.enclosure, self.escape + self.enclosure) + self.enclosure

    def without_breaks(self, text: str, kind: Kind = Kind.TEXT) -> str:
        """A text with its line breaks replaced, if the dialect wants that (VI-C04)."""
        replacement = self.line_break_in(kind)
        return text if replacement is None else _BREAK.sub(lambda _: replacement, text)

    def specials(self) -> re.Pattern[str]:
        """Finds a character that makes an enclosure necessary."""
        return re.compile(f"[{re.escape(self.separator + self.enclosure + self.escape)}\r\n]")

    def header_line(self, columns: Sequence[Column]) -> bytes:
        """The columns' names as a line, written like texts; empty if the dialect has no header (VI-C02)."""
        if not self.header:
            return b""
        special = self.specials()
        names = (self.without_breaks(column.name) for column in columns)
        cells = (
            self.enclosed(name) if self.encloses_text or not name or special.search(name) else name
            for name in names
        )
        return self.separator.join(cells).encode() + self.line_end

    def warnings(self) -> tuple[str, ...]:
        """What readers must be told because it leaves RFC 4180, or what changes the data (VI-C15)."""
        found = []
        if self.separator != ",":
            found.append(f"the field separator {self.separator!r} leaves RFC 4180: readers must be told")
        if self.enclosure != '"':
            found.append(f"the enclosure {self.enclosure!r} leaves RFC 4180: readers must be told")
        if self.escape != self.enclosure:
            found.append(f"the escape character {self.escape!r} leaves RFC 4180, which doubles the enclosure")
        if self.line_end != b"\r\n":
            found.append("line ends of LF leave RFC 4180, which wants CRLF")
        if self.formula_guard:
            found.append("texts that begin with = + - @ get a ' in front: they differ from the platform's")
        return (*found, *self.date.warnings())

    def _check_line_break(self) -> None:
        if self.line_break is None:
            return
        if len(self.line_break) != 1 or self.line_break in "\r\n\x00":
            raise ValueError("the replacement of line breaks must be one character and no line break itself")
        if self.line_break in (self.separator, self.enclosure, self.escape):
            raise ValueError(
                f"line breaks can't become {self.line_break!r}: it has a meaning in the file already"
            )


def _check_character(name: str, text: str) -> None:
    if not text:
        raise ValueError(f"the {name} is empty: it must be one character")
    if len(text) != 1 or not text.isascii():
        raise ValueError(f"the {name} is {text!r}: it must be one ASCII character")
    if text in "\r\n\x00":
        raise ValueError(f"the {name} can't be {text!r}")
