"""Dates as a `java.text.SimpleDateFormat` pattern writes them, in Python and in SQL (VI-C07, -C13, -C14)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re
from collections.abc import Callable
from typing import Final

from outfeed.formats import java_date_sql
from outfeed.formats.columns import Kind
from outfeed.formats.java_date_tokens import (
    Field,
    Token,
    as_iso,
    fixed_text,
    names,
    normalised,
    read_tokens,
)

#: What a database writes where a pattern can't: infinity, and years outside of 1 to 9999.
_EXCEPTIONAL: Final = (
    r"-?infinity|[0-9]{4,}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:\+00)?(?: BC)?"
)
_NUMBERS: Final[dict[str, Callable[[dt.datetime], int]]] = {
    "y": lambda value: value.year,
    "M": lambda value: value.month,
    "d": lambda value: value.day,
    "H": lambda value: value.hour,
    "h": lambda value: (value.hour + 11) % 12 + 1,
    "m": lambda value: value.minute,
    "s": lambda value: value.second,
    "S": lambda value: value.microsecond // 1000,
}


@dataclasses.dataclass(frozen=True)
class JavaDatePattern:
    """Guarantees that an instant gives the same text in Python and in SQL: what Java gives in UTC (VI-C07).

    English names, proleptic Gregorian calendar, fractions of a second cut off, never rounded.

    Attributes:
        text: the pattern, its typographic quotes replaced by plain ones.
    """

    text: str
    tokens: tuple[Token, ...] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> JavaDatePattern:
        """Reads a pattern; refuses the frequent mistakes `YYYY` and `DD` (VI-C07).

        Raises:
            ValueError: what is wrong, with a hint.
        """
        text = normalised(text)
        return cls(text, read_tokens(text))

    @property
    def has_zone(self) -> bool:
        """Whether the text tells its offset (VI-C15)."""
        return self._has("ZXz")

    @property
    def has_hour(self) -> bool:
        """Whether the text tells the hour."""
        return self._has("Hh")

    def format(self, value: dt.datetime) -> str:
        """The text of an instant; a value without a zone is UTC (VI-C13, VI-C14)."""
        return _formatter(self.tokens)(value)

    def formatter(self) -> Callable[[dt.datetime], str]:
        """What `format` does, for loops over many values."""
        return _formatter(self.tokens)

    def postgresql(self, expression: str, kind: Kind) -> str:
        """SQL that gives the same text for a column of PostgreSQL; NULL stays NULL.

        For a session with `SET DateStyle = 'ISO, YMD'` and `SET TimeZone = 'UTC'`. Infinity and years outside
        of 1 to 9999 keep PostgreSQL's own text. Nothing is escaped for drivers that give `%` a meaning.

        Args:
            expression: of type `timestamptz` (`INSTANT`) or `timestamp` (`LOCAL`); it is repeated.
        """
        return java_date_sql.postgresql(self.tokens, expression, kind)

    def mysql(self, expression: str) -> str:
        """The same for a `DATETIME` or `TIMESTAMP` of MariaDB or MySQL, in a session with time zone +00:00.

        A date with a zero month or day keeps the server's own text.
        """
        return java_date_sql.mysql(self.tokens, expression)

    def sqlite(self, expression: str) -> str:
        """The same for text like `2018-01-09 14:56:13.25+00:00` in SQLite, with a space or a `T`.

        What is not written so, or has another offset, stays as it is.
        """
        return java_date_sql.sqlite(self.tokens, expression)

    def regex(self) -> str:
        """A regular expression (RE2 syntax) that each text of this pattern matches as a whole."""
        fields = "".join(_field_regex(token) for token in self.tokens)
        return f"{fields}|{_EXCEPTIONAL}"

    def warnings(self) -> tuple[str, ...]:
        """What readers of such dates may stumble over (VI-C15)."""
        found = []
        if not self.has_zone:
            found.append(f"dates like {self.text} do not say that they are UTC: add Z, X or XXX")
        if self._has("h") and not self._has("a"):
            found.append(f"{self.text}: hh is 01 to 12 and there is no a (AM or PM): did you mean HH?")
        if self._has("m") and not self.has_hour:
            found.append(f"{self.text}: mm is minutes: did you mean MM (month)?")
        return tuple(found)

    def _has(self, letters: str) -> bool:
        return any(isinstance(token, Field) and token.letter in letters for token in self.tokens)


@functools.lru_cache(maxsize=64)
def _formatter(tokens: tuple[Token, ...]) -> Callable[[dt.datetime], str]:
    template, getters = _template(tokens)

    def formatted(value: dt.datetime) -> str:
        zone = value.tzinfo
        if zone is not None and zone is not dt.UTC:
            value = value.astimezone(dt.UTC)
        return template % tuple([getter(value) for getter in getters])

    return _iso_formatter(tokens) or formatted


def _template(tokens: tuple[Token, ...]) -> tuple[str, list[Callable[[dt.datetime], object]]]:
    """A template for the operator `%`, and what is put into it."""
    template = ""
    getters: list[Callable[[dt.datetime], object]] = []
    for token in tokens:
        if isinstance(token, Field) and fixed_text(token) is None:
            conversion, getter = _conversion(token)
            template += conversion
            getters.append(getter)
        else:
            template += (fixed_text(token) or "").replace("%", "%%")
    return template, getters


def _conversion(field: Field) -> tuple[str, Callable[[dt.datetime], object]]:
    choice = names(field)
    if field.letter == "y" and field.count == 2:
        return "%02d", lambda value: value.year % 100
    if field.letter == "M" and choice:
        return "%s", lambda value: choice[value.month - 1]
    if field.letter == "E":
        return "%s", lambda value: choice[value.weekday()]
    if field.letter == "a":
        return "%s", lambda value: choice[value.hour // 12]
    return f"%0{field.count}d", _NUMBERS[field.letter]


def _iso_formatter(tokens: tuple[Token, ...]) -> Callable[[dt.datetime], str] | None:
    """Patterns that differ from ISO 8601 only between date and time and at the end: several times as fast."""
    iso = as_iso(tokens)
    if iso is None:
        return None
    separator, milliseconds, ending = iso
    timespec, length = ("milliseconds", 23) if milliseconds else ("seconds", 19)

    def formatted(value: dt.datetime) -> str:
        zone = value.tzinfo
        if zone is None:
            return value.isoformat(separator, timespec) + ending
        if zone is not dt.UTC:
            value = value.astimezone(dt.UTC)
        return value.isoformat(separator, timespec)[:length] + ending

    return formatted


_TWO_DIGITS: Final = {
    "M": ("[1-9]|1[0-2]", "0[1-9]|1[0-2]"),
    "d": ("[1-9]|[12][0-9]|3[01]", "0[1-9]|[12][0-9]|3[01]"),
    "H": ("1?[0-9]|2[0-3]", "[01][0-9]|2[0-3]"),
    "h": ("[1-9]|1[0-2]", "0[1-9]|1[0-2]"),
    "m": ("[1-5]?[0-9]", "[0-5][0-9]"),
    "s": ("[1-5]?[0-9]", "[0-5][0-9]"),
}


def _field_regex(token: Token) -> str:
    fixed = fixed_text(token)
    if fixed is not None or isinstance(token, str):
        return re.escape(fixed or "")
    if choice := names(token):
        return f"(?:{'|'.join(choice)})"
    if token.letter == "y":
        return "[0-9]{2}" if token.count == 2 else f"[0-9]{{{token.count},{max(token.count, 6)}}}"
    if token.letter == "S":
        return f"[0-9]{{{token.count},{max(token.count, 3)}}}"
    short, full = _TWO_DIGITS[token.letter]
    return f"(?:{short})" if token.count == 1 else f"{'0' * (token.count - 2)}(?:{full})"
