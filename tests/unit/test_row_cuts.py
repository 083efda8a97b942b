"""A file is cut only between rows, and the same file always at the same places."""

from __future__ import annotations

import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outfeed.errors import TerminalError
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.csv_rows import RowEncoder
from outfeed.formats.row_cuts import whole_rows
from tests.hostile_texts import Row, dialects, expected, read_by_python, rows, text_columns


class Dripping(io.BytesIO):
    """Gives fewer bytes than asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 3))


@given(rows(3), dialects, st.integers(1, 60))
def test_pieces_hold_whole_rows(rows: list[Row], dialect: CsvDialect, block: int) -> None:
    # VI-C01
    dialect = dataclasses.replace(dialect, header=False)
    data = RowEncoder(text_columns(3), dialect).encode(rows)
    pieces = list(whole_rows(io.BytesIO(data), dialect, block))
    assert list(whole_rows(Dripping(data), dialect, block)) == pieces
    assert b"".join(pieces) == data
    found = [row for piece in pieces for row in read_by_python(piece, dialect)]
    assert found == [tuple(value or "" for value in row) for row in expected(rows, dialect)]
    assert all(len(row) == 3 for row in found)


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b'a,"b\r\n', b'a,b\r\nc,"d""\r\n', b"a,b\r\nc\r"])
def test_a_row_without_its_end_is_an_error(data: bytes) -> None:
    # VI-C01
    with pytest.raises(TerminalError, match="middle of a row or has other line ends"):
        list(whole_rows(io.BytesIO(data), CsvDialect(), 1 << 20))
