"""Parquet from any engine: rows as a neutral CSV on the worker's disk, then typed as the source has them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, cast

from outfeed.formats.columns import Column
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.parquet import NEUTRAL, write_parquet
from outfeed.sources.tables import TableCopied
from outfeed.staging import ChainedReader

#: Copies a table in a dialect into the segments that it opens.
CopyTable = Callable[[Callable[[int], BinaryIO], CsvDialect], TableCopied]


def write_as_parquet(copy: CopyTable, columns: Sequence[Column], stream: Any) -> TableCopied:
    """Writes one Parquet file; the neutral CSV is gone afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="outfeed-parquet-") as folder:
        names: list[str] = []

        def segment(number: int) -> BinaryIO:
            names.append(f"{folder}/{number:03}")
            return open(names[-1], "wb")  # noqa: PTH123 - the engine closes it

        copied = copy(segment, NEUTRAL)
        chained = ChainedReader(open(name, "rb") for name in sorted(names))  # noqa: PTH123, SIM115
        write_parquet(cast("BinaryIO", chained), columns, stream)
        return copied
