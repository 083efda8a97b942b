"""Texts that break careless CSV writers and readers, and the dialects to write them in."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence

from hypothesis import strategies as st

from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect

#: None is NULL.
Row = tuple[str | None, ...]

PIECES = (
    *(",", ";", "\t", "|", '"', '""', "'", "\\", "\\\\", '\\"', "\r", "\n", "\r\n", "\\.", "\\N", " ", "  "),
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "NULL",
        "a",
        "é",
        "漢",
        "😀",
        "\ufeff",
        "\u2028",
        "\x85",
        "\x0b",
        "\x1c",
        "\x7f",
    ),
    *("\x01", "\x1f", "0", "-0", "1e5", "#", "--", "%", "$1", "{}", "\\n"),
)
#: Any character that UTF-8 and PostgreSQL can hold.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.text(characters, max_size=8),
)
cells = st.one_of(st.none(), st.just(""), texts)


def rows(width: int) -> st.SearchStrategy[list[Row]]:
    """Rows of so many hostile texts."""
    return st.lists(st.tuples(*[cells] * width), max_size=12)


def text_columns(width: int) -> list[Column]:
    """Text columns c0, c1 …"""
    return [Column(f"c{index}", Kind.TEXT) for index in range(width)]


DIALECTS = [
    CsvDialect(
        header=header,
        separator=separator,
        enclosure=enclosure,
        escape=enclosure if escape == "double" else escape,
        line_break=line_break,
        quote="text" if text else "minimal",
        line_end=line_end,
    )
    for separator, enclosure, escape, line_break, text, (line_end, header) in itertools.product(
        [",", ";", "\t", "|"],
        ['"', "'"],
        ["double", "\\", "^"],
        [None, " ", "⏎"],
        [False, True],
        [(b"\r\n", True), (b"\n", False)],
    )
]
dialects = st.sampled_from(DIALECTS)

#: Each pair of pieces as a value, several in a row.
HOSTILE_ROWS: list[Row] = [
    (None if first == "NULL" else first, first + second, second, "" if second == "a" else None)
    for first, second in itertools.product(PIECES, PIECES)
]


def expected(found: Sequence[Row], dialect: CsvDialect) -> list[Row]:
    """What a reader must find: line breaks are replaced where the dialect says so."""
    return [
        tuple(value if value is None else dialect.without_breaks(value) for value in row) for row in found
    ]


def read_by_python(data: bytes, dialect: CsvDialect) -> list[tuple[str, ...]]:
    """By the csv module, to which NULL and an empty text are the same."""
    reader = csv.reader(
        io.StringIO(data.decode(), newline=""),
        delimiter=dialect.separator,
        quotechar=dialect.enclosure,
        doublequote=dialect.escape == dialect.enclosure,
        escapechar=None if dialect.escape == dialect.enclosure else dialect.escape,
        strict=True,
    )
    return [tuple(row) for row in reader]
