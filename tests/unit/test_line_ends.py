"""Only the LF that ends a row becomes CRLF, wherever the blocks are cut."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outfeed.errors import TerminalError
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.line_ends import CrlfConverter
from tests.hostile_texts import DIALECTS, HOSTILE_ROWS, Row, expected, read_by_python, rows, text_columns

CRLF = [dialect for dialect in DIALECTS if dialect.line_end == b"\r\n"]


def converted(data: bytes, dialect: CsvDialect, cuts: list[int]) -> bytes:
    converter = CrlfConverter(dialect)
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    blocks = [converter.feed(data[start:end]) for start, end in itertools.pairwise(bounds)]
    return b"".join(blocks) + converter.finish()


@given(rows(3), st.sampled_from(CRLF), st.lists(st.integers(0, 500), max_size=12))
def test_row_ends_become_crlf_and_nothing_else_changes(
    rows: list[Row], dialect: CsvDialect, cuts: list[int]
) -> None:
    # VI-C01
    columns = text_columns(3)
    lf = RowEncoder(columns, dataclasses.replace(dialect, line_end=b"\n")).encode(rows)
    data = converted(lf, dialect, cuts)
    assert data == RowEncoder(columns, dialect).encode(rows)
    texts = [tuple(value or "" for value in row) for row in expected(rows, dialect)]
    assert read_by_python(data, dialect) == texts


@pytest.mark.parametrize("dialect", CRLF[::5], ids=repr)
def test_a_cut_at_every_byte(dialect: CsvDialect) -> None:
    # VI-C01
    columns = text_columns(4)
    lf = RowEncoder(columns, dataclasses.replace(dialect, line_end=b"\n")).encode(HOSTILE_ROWS)
    assert converted(lf, dialect, list(range(len(lf)))) == RowEncoder(columns, dialect).encode(HOSTILE_ROWS)


def test_lf_is_left_if_the_customer_wants_it() -> None:
    dialect = CsvDialect(line_end=b"\n")
    assert converted(b'a,"b\n"\n', dialect, []) == b'a,"b\n"\n'


def test_breaks_within_enclosures_stay() -> None:
    # VI-C01 VI-C04
    assert converted(b'a,"b\n""\nc"\nd,e\n', CsvDialect(), []) == b'a,"b\n""\nc"\r\nd,e\r\n'
    assert converted(b'"b\n\\"\n\\\\"\nd\\\n', CsvDialect(escape="\\"), []) == b'"b\n\\"\n\\\\"\r\nd\\\r\n'


@pytest.mark.parametrize("dialect", [CsvDialect(), CsvDialect(escape="\\")])
def test_an_end_within_a_value_is_an_error(dialect: CsvDialect) -> None:
    converter = CrlfConverter(dialect)
    converter.feed(b'a,"b\n')
    with pytest.raises(TerminalError, match="middle of a value"):
        converter.finish()
