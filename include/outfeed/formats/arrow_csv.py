"""CSV read by pyarrow as a stream of typed batches; errors say where, never what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

from outfeed.errors import Action, TerminalError
from outfeed.formats.columns import Column
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.row_cuts import read_up_to, whole_rows

if TYPE_CHECKING:
    import pyarrow as pa

_PLACE: Final = re.compile(
    r"(?:CSV column #(?P<column>\d+): )?Row #(?P<row>\d+): (?:Expected \d+ columns, got (?P<got>\d+))?"
)
#: Bytes of the CSV that become a batch: what is written of it must not change from run to run.
_BATCH: Final = 2 << 20
_REMEDY: Final = "report it with the name of the table: the file was not delivered"


def read_batches(
    stream: BinaryIO, columns: Sequence[Column], types: Sequence[pa.DataType], dialect: CsvDialect
) -> Iterator[pa.RecordBatch]:
    """The rows after the header, in batches of some megabytes; columns are named by their position.

    The same bytes give the same batches. NULL is null, an enclosed empty value is not.

    Raises:
        TerminalError: the header, the number of values in a row or the type of a value is not as expected.
    """
    reader = PieceReader(columns, types, dialect)
    before = 0
    for piece in pieces(stream, columns, dialect, _BATCH):
        table = reader.read(piece, before)
        yield from table.to_batches()
        before += table.num_rows


def pieces(stream: BinaryIO, columns: Sequence[Column], dialect: CsvDialect, size: int) -> Iterator[bytes]:
    """The rows after the header, whole ones in each piece of about a size.

    Raises:
        TerminalError: the header is not as expected, or the last row has no end.
    """
    _skip_header(stream, columns, dialect)
    # pyarrow's own stream reads up to 32 blocks ahead.
    return whole_rows(stream, dialect, size)


class PieceReader:
    """Reads pieces of one file; several threads may use it at the same time."""

    def __init__(self, columns: Sequence[Column], types: Sequence[pa.DataType], dialect: CsvDialect) -> None:
        from pyarrow import csv

        self._columns = columns
        self._names = [str(index) for index in range(len(types))]
        doubled = dialect.escape == dialect.enclosure
        self._parse_options = csv.ParseOptions(
            delimiter=dialect.separator,
            quote_char=dialect.enclosure,
            double_quote=doubled,
            escape_char=False if doubled else dialect.escape,
            newlines_in_values=True,
            ignore_empty_lines=False,
        )
        self._convert_options = csv.ConvertOptions(
            column_types=dict(zip(self._names, types, strict=True)),
            null_values=[""],
            true_values=["1", "t", "true"],
            false_values=["0", "f", "false"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def read(self, piece: bytes, before: int) -> pa.Table:
        """The rows of a piece.

        Args:
            before: how many rows the file has before it, for what an error says.

        Raises:
            TerminalError: the number of values in a row or the type of a value is not as expected.
        """
        import pyarrow as pa
        from pyarrow import csv

        options = csv.ReadOptions(use_threads=False, block_size=len(piece), column_names=self._names)
        try:
            return csv.read_csv(pa.BufferReader(piece), options, self._parse_options, self._convert_options)
        except pa.ArrowInvalid as error:
            raise _explained(str(error), self._columns, before) from None


def wrong_value(column: Column, row: int) -> TerminalError:
    """A value that its column can't hold."""
    return TerminalError(
        f"row {row} of the file, column {column.name}: the value is no {column.kind}",
        action=Action.ENGINEER,
        remedy=_REMEDY,
    )


def _skip_header(stream: BinaryIO, columns: Sequence[Column], dialect: CsvDialect) -> None:
    header = dialect.header_line(columns)
    if read_up_to(stream, len(header)) != header:
        raise TerminalError(
            "the file's header does not hold the names of the columns that the source reported",
            action=Action.ENGINEER,
            remedy=_REMEDY,
        )


def _explained(message: str, columns: Sequence[Column], before: int) -> TerminalError:
    """pyarrow's messages hold the customer's data."""
    place = _PLACE.search(message)
    if place is None:
        return TerminalError("the file can't be read: it is no CSV", action=Action.ENGINEER, remedy=_REMEDY)
    row = before + int(place["row"])
    if place["got"] is not None:
        return TerminalError(
            f"row {row} of the file has {place['got']} values instead of {len(columns)}",
            action=Action.ENGINEER,
            remedy=_REMEDY,
        )
    return wrong_value(columns[int(place["column"] or 0)], row)
