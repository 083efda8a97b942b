"""Many dates at once that a source gives as texts: those of one width are taken apart by position."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from outfeed.formats.java_date import JavaDatePattern
from outfeed.formats.java_date_tokens import Iso, as_iso

_UNIT, _NOTHING = b"\x1f", b"\x1e"
_DATE = slice(0, 10)
_TIME = slice(11, 19)
_MILLISECONDS = slice(20, 23)
_SHAPE = re.compile(rb"0000-00-00[ T]00:00:00(\.0+)?Z?")
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


@dataclasses.dataclass(frozen=True)
class DateRewriter:
    """Writes dates by a pattern that is close to ISO 8601."""

    iso: Iso

    @classmethod
    def of(cls, pattern: JavaDatePattern) -> DateRewriter | None:
        """The rewriter of a pattern; None if it has none."""
        iso = as_iso(pattern.tokens)
        return iso and cls(iso)

    def rewritten(self, joined: bytes, count: int) -> str | None:
        """The same with each date by the pattern; None if the texts are not dates in UTC of one width."""
        dates = joined.lstrip(_UNIT + _NOTHING)
        if not dates:
            return joined.decode()
        width = len(dates.partition(_UNIT)[0])
        null = _NOTHING * width + _UNIT
        joined = joined.replace(_NOTHING, _NOTHING * width) + _UNIT
        shape = joined.translate(_DIGITS)
        start = dates[:width].translate(_DIGITS)
        pieces = self._pieces(start)
        if pieces is None or shape.replace(null, start + _UNIT) != (start + _UNIT) * count:
            return None
        return self._assembled(joined, width + 1, count, pieces)

    def _pieces(self, shape: bytes) -> list[slice | bytes] | None:
        """What a date becomes: pieces of its text and fixed texts."""
        found = _SHAPE.fullmatch(shape)
        if found is None:
            return None
        pieces: list[slice | bytes] = [_DATE, self.iso.separator.encode(), _TIME]
        if self.iso.milliseconds:
            digits = len(found[1] or b".") - 1
            if 0 < digits < 3:
                return None
            pieces += [b".", _MILLISECONDS if digits else b"000"]
        return [*pieces, self.iso.ending.encode()]

    def _assembled(self, joined: bytes, width: int, count: int, pieces: list[slice | bytes]) -> str:
        row = b"".join(
            piece if isinstance(piece, bytes) else _NOTHING * (piece.stop - piece.start) for piece in pieces
        )
        row += _UNIT
        length = len(row)
        put = bytearray(row * count)
        at = 0
        for piece in pieces:
            if isinstance(piece, bytes):
                at += len(piece)
                continue
            for source in range(piece.start, piece.stop):
                put[at::length] = joined[source::width]
                at += 1
        return put.replace(row, _NOTHING + _UNIT)[:-1].decode()


class DateTexts:
    """Guarantees that texts of instants in UTC become what the pattern says (VI-C07).

    Others stay as they are.

    Args:
        pattern: of the dialect.
    """

    def __init__(self, pattern: JavaDatePattern) -> None:
        self._rewriter = DateRewriter.of(pattern)

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        """Texts by the pattern, or what `RowEncoder` writes so."""
        rewritten = None if self._rewriter is None else _rewritten(self._rewriter, values)
        return instants(values) if rewritten is None else rewritten


def _rewritten(rewriter: DateRewriter, values: Sequence[Any]) -> list[str | None] | None:
    unit, nothing = _UNIT.decode(), _NOTHING.decode()
    try:
        joined = unit.join([nothing if value is None else value for value in values]).encode("ascii")
    except (TypeError, UnicodeEncodeError):
        return None
    text = rewriter.rewritten(joined, len(values))
    return None if text is None else [None if value == nothing else value for value in text.split(unit)]


def instants(values: Sequence[Any]) -> list[Any]:
    """Texts like `2018-01-09 14:56:13.25+00:00` as instants; what is not written so stays as it is."""
    parse = dt.datetime.fromisoformat
    try:
        return [parse(value) if type(value) is str and len(value) > 18 else value for value in values]
    except ValueError:
        return [_instant(value) for value in values]


def _instant(value: Any) -> Any:
    try:
        return dt.datetime.fromisoformat(value) if type(value) is str and len(value) > 18 else value
    except ValueError:
        return value
