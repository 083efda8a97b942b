"""Many dates at once that a source gives as texts: those of one width are taken apart by position."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from outfeed.formats.java_date import JavaDatePattern
from outfeed.formats.java_date_tokens import Iso, as_iso

_UNIT, _NOTHING = "\x1f", "\x1e"
_SHAPE = re.compile(rb"0000-00-00[ T]00:00:00(?:\.(0+))?Z?")
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_MILLISECONDS = 3
_UTC = tuple((offset + _UNIT, f"Z{_UNIT}") for offset in ("+00:00", "+0000", "+00"))


@dataclasses.dataclass(frozen=True)
class DateRewriter:
    """Writes dates by a pattern that is close to ISO 8601."""

    iso: Iso

    @classmethod
    def of(cls, pattern: JavaDatePattern) -> DateRewriter | None:
        """The rewriter of a pattern; None if it has none."""
        iso = as_iso(pattern.tokens)
        return iso and cls(iso)

    def rewritten(self, values: Sequence[Any]) -> list[str | None] | None:
        """Each date by the pattern; None if there is anything else than dates in UTC and NULL."""
        shapes = _shapes(values)
        if shapes is None:
            return None
        middle, ending = self.iso.separator, self.iso.ending
        if self.iso.milliseconds:
            fractions = {len(shape[1] or b"") for shape in shapes}
            if fractions and min(fractions) >= _MILLISECONDS:
                return [v and f"{v[:10]}{middle}{v[11:19]}.{v[20:23]}{ending}" for v in values]
            if fractions - {0}:
                return None
            ending = f".000{ending}"
        return [v and f"{v[:10]}{middle}{v[11:19]}{ending}" for v in values]


def _shapes(values: Sequence[Any]) -> list[re.Match[bytes]] | None:
    """The forms of dates among the values; None if there is anything else than these and NULL."""
    try:
        joined = _UNIT.join([*(_NOTHING if value is None else value for value in values), ""])
        for written, short in _UTC:
            joined = joined.replace(written, short)
        found = joined.encode("ascii").translate(_DIGITS).split(_UNIT.encode())[:-1]
    except (TypeError, UnicodeEncodeError):
        return None
    nothing = _NOTHING.encode()
    forms = set(found) - {nothing}
    shapes = [shape for shape in map(_SHAPE.fullmatch, forms) if shape is not None]
    # A value may be what stands for NULL here, or hold what stands between values.
    exact = len(found) == len(values) and found.count(nothing) == values.count(None)
    return shapes if exact and len(shapes) == len(forms) else None


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
        rewritten = None if self._rewriter is None else self._rewriter.rewritten(values)
        return instants(values) if rewritten is None else rewritten


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
