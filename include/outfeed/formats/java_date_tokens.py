"""The tokens of a `java.text.SimpleDateFormat` pattern: fields such as `yyyy` and literal text (VI-C07)."""

from __future__ import annotations

import dataclasses
import re
from typing import Final, NamedTuple

#: The documents print patterns with the quotes of a word processor.
_TYPOGRAPHIC: Final = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})

#: A run of one pattern letter | two quotes, which stand for one | quoted text | anything else.
_TOKEN: Final = re.compile(r"(?P<field>([A-Za-z])\2*)|''|(?P<quoted>'(?:[^']|'')++')|[^A-Za-z']")

_SUPPORTED: Final = "yMdHhmsSaEZXz"
_HINTS: Final = {
    "Y": "it is the year of the week and differs around new year: did you mean {} (year)?",
    "D": "it is the day of the year: did you mean {} (day of the month)?",
    "u": "did you mean E (name of the day) or y (year)?",
    "L": "did you mean {} (month)?",
    "k": "did you mean {} (hours 00 to 23)?",
    "K": "did you mean {} (hours 01 to 12)?",
    "n": "did you mean S (milliseconds)?",
    "T": "put text in single quotes: 'T'",
}
_MEANT: Final = {"Y": "y", "D": "d", "L": "M", "k": "H", "K": "h"}

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
#: As `datetime.weekday` counts.
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclasses.dataclass(frozen=True)
class Field:
    """A part of the date; `count` is how often its letter is repeated."""

    letter: str
    count: int


Token = Field | str

#: `yyyy-MM-dd HH:mm:ss`, the form that databases and Python write, and where each token begins in it.
_ISO: Final[tuple[Token, ...]] = (
    *(Field("y", 4), "-", Field("M", 2), "-", Field("d", 2), " "),
    *(Field("H", 2), ":", Field("m", 2), ":", Field("s", 2)),
)
_ISO_STARTS: Final = (0, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19)
_SEPARATOR_INDEX: Final = 5


class Iso(NamedTuple):
    """A pattern that is `yyyy-MM-dd HH:mm:ss` but for its separator and its end."""

    separator: str
    milliseconds: bool
    ending: str


class IsoSlice(NamedTuple):
    """A pattern that is a piece of `yyyy-MM-dd HH:mm:ss` with something at its end."""

    start: int
    stop: int
    ending: str


def normalised(text: str) -> str:
    """The pattern with plain quotes instead of typographic ones."""
    return text.translate(_TYPOGRAPHIC)


def read_tokens(text: str) -> tuple[Token, ...]:
    """Fields and literal texts of a pattern, in order; neighbouring literals are one.

    Raises:
        ValueError: what is wrong with the pattern, with a hint.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"date pattern {text!r}: the quote at position {position + 1} is never closed")
        position = match.end()
        if match["field"]:
            tokens.append(_field(text, match["field"]))
        else:
            literal = match["quoted"][1:-1].replace("''", "'") if match["quoted"] else match[0][-1]
            _append_literal(tokens, literal)
    if all(fixed_text(token) is not None for token in tokens):
        raise ValueError(
            f"date pattern {text!r} holds no part of a date; the default is yyyy-MM-dd'T'HH:mm:ssZ"
        )
    return tuple(tokens)


def fixed_text(token: Token) -> str | None:
    """A literal, or what a zone gives in UTC; None if the token depends on the date."""
    if isinstance(token, str):
        return token
    if token.letter == "Z":
        return "+0000"
    if token.letter == "X":
        return "Z"
    if token.letter == "z":
        return "UTC" if token.count < 4 else "Coordinated Universal Time"
    return None


def as_iso(tokens: tuple[Token, ...]) -> Iso | None:
    """How the pattern differs from `yyyy-MM-dd HH:mm:ss`, if it is close to it."""
    if len(tokens) < len(_ISO):
        return None
    separator = tokens[_SEPARATOR_INDEX]
    head = (*tokens[:_SEPARATOR_INDEX], " ", *tokens[_SEPARATOR_INDEX + 1 : len(_ISO)])
    if head != _ISO or not isinstance(separator, str) or len(separator) != 1:
        return None
    rest = tokens[len(_ISO) :]
    milliseconds = rest[:2] == (".", Field("S", 3))
    ending = _fixed(rest[2:] if milliseconds else rest)
    return None if ending is None else Iso(separator, milliseconds, ending)


def as_iso_slice(tokens: tuple[Token, ...]) -> IsoSlice | None:
    """Which piece of `yyyy-MM-dd HH:mm:ss` the pattern is, if it is one."""
    end = max(index for index, token in enumerate(tokens) if fixed_text(token) is None) + 1
    for start in range(len(_ISO)):
        if _ISO[start : start + end] == tokens[:end]:
            return IsoSlice(_ISO_STARTS[start], _ISO_STARTS[start + end], _fixed(tokens[end:]) or "")
    return None


def _fixed(tokens: tuple[Token, ...]) -> str | None:
    texts = [fixed_text(token) for token in tokens]
    return None if None in texts else "".join(text or "" for text in texts)


def names(field: Field) -> tuple[str, ...]:
    """The English names that the field chooses from, in order; empty if it is a number."""
    if field.letter == "a":
        return ("AM", "PM")
    if field.letter == "E":
        return DAYS if field.count > 3 else tuple(day[:3] for day in DAYS)
    if field.letter == "M" and field.count > 2:
        return MONTHS if field.count > 3 else tuple(month[:3] for month in MONTHS)
    return ()


def _field(text: str, run: str) -> Field:
    letter, count = run[0], len(run)
    if letter not in _SUPPORTED:
        hint = _HINTS.get(letter, "text stands in single quotes").format(_MEANT.get(letter, "") * count)
        raise ValueError(f"date pattern {text!r}: {run} can't be used: {hint}")
    if letter == "X" and count > 3:
        raise ValueError(f"date pattern {text!r}: {run} can't be used: did you mean XXX?")
    return Field(letter, count)


def _append_literal(tokens: list[Token], literal: str) -> None:
    if not literal.isprintable():
        raise ValueError("a date pattern can't hold line breaks or control characters")
    last = tokens[-1] if tokens else None
    if isinstance(last, str):
        tokens[-1] = last + literal
    else:
        tokens.append(literal)
