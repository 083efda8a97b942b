"""Row ends by a mark: whatever is in the data, and wherever the network cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outfeed.errors import TransientError
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources.row_marks import RowMarks

ROWS = [b'1,"two\nlines"', b'2,"quote "" and\r\nbreak"', b"3,", "4,Łódź".encode(), b'5,"\n"', b'"\n",6']


def fed(marks: RowMarks, content: bytes, sizes: list[int]) -> bytes:
    """What becomes of content that arrives in blocks of these sizes, and the rest at once."""
    pieces = []
    for size in sizes:
        pieces.append(marks.feed(content[:size]))
        content = content[size:]
    pieces += [marks.feed(content), marks.finish()]
    return b"".join(pieces)


@given(st.lists(st.sampled_from(ROWS), max_size=20), st.lists(st.integers(0, 30), max_size=20))
def test_only_ends_of_rows_change(rows: list[bytes], sizes: list[int]) -> None:
    # VI-C01
    marks = RowMarks(CsvDialect())
    content = b"".join(row + b"," + marks.mark.encode() + b"\n" for row in rows)
    assert fed(marks, content, sizes) == b"".join(row + b"\r\n" for row in rows)
    marks.require(len(rows))


def test_a_mark_has_no_character_with_a_meaning() -> None:
    dialect = CsvDialect(separator="a", enclosure="B", escape="3")
    assert not {"a", "B", "3"} & set("".join(RowMarks(dialect).mark for _ in range(500)))


def test_a_mark_in_the_data_is_noticed() -> None:
    marks = RowMarks(CsvDialect())
    end = b"," + marks.mark.encode() + b"\n"
    fed(marks, b'1,"2' + end + b'"' + end, [])
    with pytest.raises(TransientError, match="1 rows, of which 2"):
        marks.require(1)


def test_a_row_without_its_mark_is_noticed() -> None:
    marks = RowMarks(CsvDialect())
    fed(marks, b"1,2\n", [])
    with pytest.raises(TransientError, match="1 rows, of which 0"):
        marks.require(1)
