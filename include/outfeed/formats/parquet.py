"""Rows of any engine to Parquet, typed as the source has them, by way of a CSV that no customer sees."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

from outfeed.formats.arrow_csv import read_batches, wrong_value
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.iso_date import IsoDate

if TYPE_CHECKING:
    import pyarrow as pa

#: What `write_parquet` reads: nothing is lost in it.
NEUTRAL: Final = CsvDialect(header=False, line_end=b"\n", date=IsoDate())

#: A row group ends when it has so many rows, or so many bytes in memory.
_GROUP_ROWS: Final = 1 << 20
_GROUP_BYTES: Final = 64 << 20

#: The most digits that Arrow's types hold; pyarrow's CSV reader knows only the narrower one.
_NARROW_DIGITS: Final = 38
_WIDE_DIGITS: Final = 76


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Names and types of the Parquet file of these columns; a decimal without a bound is text."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, _type(column)) for column in columns])


def write_parquet(csv_stream: BinaryIO, columns: Sequence[Column], out_stream: BinaryIO) -> int:
    """Writes a whole Parquet file (zstd, checksums); the same rows give the same bytes.

    Memory is bounded whatever the number of rows. Both streams are left open.

    Args:
        csv_stream: rows in the dialect `NEUTRAL`.

    Returns:
        The number of rows.

    Raises:
        TerminalError: Parquet can't hold a value, such as a date of `infinity`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = arrow_schema(columns)
    rows = 0
    with parquet.ParquetWriter(
        pa.PythonFile(out_stream, "w"),
        schema,
        compression="zstd",
        compression_level=3,
        write_page_checksum=True,
    ) as writer:
        for group in _groups(_typed_batches(csv_stream, columns, schema)):
            rows += group.num_rows
            writer.write_table(group, row_group_size=_GROUP_ROWS)
    return rows


def _typed_batches(
    stream: BinaryIO, columns: Sequence[Column], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    read_as = [_read_type(type_) for type_ in schema.types]
    before = 0
    for batch in read_batches(stream, columns, read_as, NEUTRAL):
        arrays = [
            _converted(values, field.type, column, before)
            for values, field, column in zip(batch.columns, schema, columns, strict=True)
        ]
        before += batch.num_rows
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    import pyarrow as pa

    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if (
            sum(each.num_rows for each in group) >= _GROUP_ROWS
            or sum(each.nbytes for each in group) >= _GROUP_BYTES
        ):
            yield pa.Table.from_batches(group)
            group = []
    if group:
        yield pa.Table.from_batches(group)


def _type(column: Column) -> pa.DataType:
    import pyarrow as pa

    if column.kind == Kind.DECIMAL:
        return _decimal(column)
    types: dict[Kind, pa.DataType] = {
        Kind.INTEGER: pa.int64(),
        Kind.FLOAT: pa.float64(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.INSTANT: pa.timestamp("us", tz="UTC"),
        Kind.LOCAL: pa.timestamp("us"),
        Kind.DATE: pa.date32(),
        Kind.TIME: pa.time64("us"),
        Kind.BYTES: pa.binary(),
    }
    return types.get(column.kind, pa.string())


def _decimal(column: Column) -> pa.DataType:
    import pyarrow as pa

    if column.precision is None:
        return pa.string()
    # PostgreSQL's scale may be negative, or greater than the precision.
    scale = max(column.scale or 0, 0)
    digits = max(column.precision - min(column.scale or 0, 0), scale)
    if digits > _WIDE_DIGITS:
        return pa.string()
    return pa.decimal128(digits, scale) if digits <= _NARROW_DIGITS else pa.decimal256(digits, scale)


def _read_type(type_: pa.DataType) -> pa.DataType:
    """The type that the CSV reader makes of it first."""
    import pyarrow as pa

    if pa.types.is_timestamp(type_):
        return pa.timestamp("us")
    if pa.types.is_decimal256(type_) or pa.types.is_binary(type_):
        return pa.string()
    return type_


def _converted(values: pa.Array, type_: pa.DataType, column: Column, before: int) -> pa.Array:

    if values.type == type_:
        return values
    try:
        return _cast(values, type_)
    except ValueError:  # which pyarrow's errors are, too
        for index in range(len(values)):
            try:
                _cast(values[index : index + 1], type_)
            except ValueError:
                raise wrong_value(column, before + index + 1) from None
        raise


def _cast(values: pa.Array, type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_binary(type_):
        return pa.array([None if each is None else unhexlify(each) for each in values.to_pylist()], type_)
    return values.cast(type_)
