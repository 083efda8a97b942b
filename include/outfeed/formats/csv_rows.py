"""Python values to the final bytes of a CSV file, for sources that can't write CSV themselves."""

from __future__ import annotations

import datetime as dt
import json
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from outfeed.errors import Action, TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import FORMULA_STARTS, CsvDialect
from outfeed.formats.java_date_tokens import DAYS, MONTHS, fixed_text

_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

#: Writes a value of one type.
_Writer = Callable[[Any], str]

#: Writes the values of one column.
_Encoder = Callable[[Sequence[Any]], list[str]]


class RowEncoder:
    """Guarantees that each row becomes one line from which every value can be read back (VI-C01 to VI-C07).

    A `str` in a column of another kind is taken for the source's own spelling of the value.

    Args:
        columns: of each row, in order.
        dialect: as the customer wants it.
    """

    def __init__(self, columns: Sequence[Column], dialect: CsvDialect) -> None:
        self._columns = columns
        self._separator = dialect.separator
        self._line_end = dialect.line_end.decode()
        self._encoders = [_encoder(column, dialect, alone=len(columns) == 1) for column in columns]

    def encode(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The lines of a batch of rows, each with its line end; some thousand rows a batch are fastest.

        Raises:
            TerminalError: a row has too many or too few values, or a value does not fit its column.
        """
        try:
            values = list(zip(*rows, strict=True))
        except ValueError:
            raise self._wrong_width() from None
        if not values:
            return b""
        if len(values) != len(self._encoders):
            raise self._wrong_width()
        return self.lines([self.cells(index, column) for index, column in enumerate(values)])

    def cells(self, index: int, values: Sequence[Any]) -> list[str]:
        """The values of one column as they stand in the file, for sources that give columns.

        Raises:
            TerminalError: a value does not fit the column.
        """
        return self._encoders[index](values)

    def lines(self, cells: Sequence[Sequence[str]]) -> bytes:
        """The lines of what `cells` gave for each column, at least one row."""
        lines = map(self._separator.join, zip(*cells, strict=True))
        return (self._line_end.join(lines) + self._line_end).encode()

    def _wrong_width(self) -> TerminalError:
        return TerminalError(
            f"the source gave a row that has not one value for each of the {len(self._columns)} columns",
            action=Action.ENGINEER,
            remedy="compare the statement with the columns that the source reports",
        )


def _encoder(column: Column, dialect: CsvDialect, *, alone: bool) -> _Encoder:
    writers = _writers(column.kind, dialect)
    convert = _converter(column, writers, dialect)
    if column.kind in (Kind.TEXT, Kind.JSON):
        return _text_encoder(column.kind, convert, dialect, alone=alone)
    search = dialect.specials().search
    always = dialect.encloses(column.kind)
    write = {} if always or search(_alphabet(dialect)) else writers

    def special(value: Any) -> str:
        if type(value) is str and value and not always and not search(value):
            return value
        text = convert(value)
        return dialect.enclosed(text) if always or not text or search(text) else text

    def encode(values: Sequence[Any]) -> list[str]:
        return [
            "" if value is None else write.get(type(value), special)(value) or special(value)
            for value in values
        ]

    return encode


def _text_encoder(kind: Kind, convert: _Writer, dialect: CsvDialect, *, alone: bool) -> _Encoder:
    """Texts are most of what a table holds: one search decides whether a value passes as it is."""
    search = dialect.specials().search
    always = dialect.encloses_text
    guard = dialect.formula_guard and kind == Kind.TEXT

    def special(value: Any) -> str:
        text = convert(value)
        if guard and text and text[0] in FORMULA_STARTS:
            text = "'" + text
        text = dialect.without_breaks(text, kind)
        # A line that holds only `\.` would end a COPY FROM of PostgreSQL.
        if always or not text or search(text) or (alone and text == "\\."):
            return dialect.enclosed(text)
        return text

    def encode(values: Sequence[Any]) -> list[str]:
        return [
            value
            if type(value) is str and value and not search(value)
            else ("" if value is None else special(value))
            for value in values
        ]

    def encode_each(values: Sequence[Any]) -> list[str]:
        return ["" if value is None else special(value) for value in values]

    return encode_each if always or guard or alone else encode


def _converter(column: Column, writers: Mapping[type, _Writer], dialect: CsvDialect) -> _Writer:
    """The text of any value, not enclosed yet."""

    def convert(value: Any) -> str:
        if isinstance(value, str):
            return value if column.kind in (Kind.TEXT, Kind.JSON) else dialect.without_breaks(value)
        for type_ in type(value).__mro__:
            writer = writers.get(type_)
            if writer is not None:
                return writer(value)
        raise TerminalError(
            f"the source gave a value of type {type(value).__name__} in a column of kind {column.kind}",
            where=column.name,
            action=Action.ENGINEER,
            remedy="correct the kind that the source reports for this column",
        )

    return convert


def _alphabet(dialect: CsvDialect) -> str:
    """All characters that numbers and dates are made of, and then some."""
    literals = "".join(fixed_text(token) or "" for token in dialect.date.tokens)
    return string.digits + "+-.:Te" + "NaN Infinity AMPM" + "".join((*MONTHS, *DAYS)) + "abcdef" + literals


# -- how values are written, by their type


def _float(value: float) -> str:
    """The shortest text that reads back as the same number."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else _NOT_FINITE.get(text, text)


def _boolean(value: object) -> str:
    return "1" if value else "0"


def _duration(value: dt.timedelta) -> str:
    """As MySQL writes a TIME, which may be negative and longer than a day."""
    sign = "-" if value < dt.timedelta() else ""
    seconds, fraction = divmod(abs(value), dt.timedelta(seconds=1))
    micros = f".{fraction.microseconds:06}" if fraction else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{micros}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_NUMBERS: Final[Mapping[type, _Writer]] = {
    int: str,
    Decimal: "{:f}".format,
    float: _float,
    bool: _boolean,
}
_BYTES: Final[Mapping[type, _Writer]] = {
    bytes: bytes.hex,
    bytearray: bytearray.hex,
    memoryview: memoryview.hex,
}
_WRITERS: Final[Mapping[Kind, Mapping[type, _Writer]]] = {
    Kind.INTEGER: _NUMBERS,
    Kind.DECIMAL: _NUMBERS,
    Kind.FLOAT: _NUMBERS,
    Kind.BOOLEAN: {bool: _boolean, int: _boolean, bytes: lambda value: _boolean(any(value))},
    Kind.DATE: {dt.date: dt.date.isoformat, dt.datetime: lambda value: value.date().isoformat()},
    Kind.TIME: {dt.time: dt.time.isoformat, dt.timedelta: _duration},
    Kind.JSON: {dict: _json, list: _json, **_NUMBERS, bool: _json},
    Kind.UUID: {UUID: str},
    Kind.BYTES: _BYTES,
}


def _writers(kind: Kind, dialect: CsvDialect) -> Mapping[type, _Writer]:
    dates: dict[type, _Writer] = {dt.datetime: dialect.date.formatter()}
    if kind in (Kind.INSTANT, Kind.LOCAL):
        return dates
    if kind == Kind.TEXT:
        # Some engines let a text column hold anything.
        others = [_WRITERS[each] for each in (Kind.DATE, Kind.TIME, Kind.UUID)]
        return {**others[0], **others[1], **others[2], **_NUMBERS, **dates, bytes: bytes.decode}
    return _WRITERS[kind]
