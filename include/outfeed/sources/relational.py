"""Entities of a relational platform (document 002): all parts of a task come from one state of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, ClassVar, cast

from outfeed.errors import Action, OutfeedError, TerminalError
from outfeed.formats.columns import Column
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.plan import Part, TableRead
from outfeed.sources.base import Extracted, OpenStaged, Progress, Reader, Source
from outfeed.sources.engines import open_table_engine
from outfeed.sources.parquet_file import write_as_parquet
from outfeed.sources.segments import CompressedSegment, Segment
from outfeed.sources.tables import CLOCK_KINDS, Delta, TableCopied, TableCopy, TableEngine, TableSnapshot
from outfeed.windows import format_instant

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials


class RelationalSource(Source):
    """Reads tables and views, whole or what changed in a window, as the bytes of the delivered file."""

    type: ClassVar[str] = "platform-data"

    def __init__(self, url: str, credentials: Credentials, *, max_parallel: int = 2) -> None:
        super().__init__(url, credentials, max_parallel=max_parallel)
        self._engine = open_table_engine(url, credentials, max_parallel)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A reader that connects once, when it first reads: its parts agree with each other."""
        with ExitStack() as stack:
            yield TableReader(self._engine, stack)


class TableReader(Reader):
    """Reads parts from one state of the database."""

    def __init__(self, engine: TableEngine, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack
        self._snapshot: TableSnapshot | None = None
        self._refusal: OutfeedError | None = None

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        """One file: every row, or those that changed in the window and those found late (VI-019, VI-020).

        Raises:
            TransientError: the database can't be reached or dropped the connection.
            TerminalError: it refused the login, the table or its columns.
        """
        table = _table(part)
        snapshot = self._connected()
        snapshot.longest = 0.0
        columns, clock = chosen_columns(part, table, snapshot.columns(table.table))
        delta = Delta(clock, part.window, table.seen, table.late_days) if clock else None
        copied, files = self._copy(snapshot, part, columns, delta, open_staged, progress)
        return Extracted(
            rows=copied.rows,
            bytes=sum(file.bytes for file in files),
            segments=tuple(file.path for file in files),
            images=None,
            unplaced=copied.undated,
            longest_query_seconds=snapshot.longest,
            late=copied.late,
            read_state=snapshot.state if delta else None,
            read_at=format_instant(snapshot.read_at),
            columns=columns,
        )

    def _connected(self) -> TableSnapshot:
        """Connects once; a database that refused is not asked again for each table."""
        if self._refusal is not None:
            raise self._refusal
        if self._snapshot is None:
            try:
                self._snapshot = self._stack.enter_context(self._engine.tables())
            except OutfeedError as error:
                self._refusal = error
                raise
        return self._snapshot

    def _copy(
        self,
        snapshot: TableSnapshot,
        part: Part,
        columns: tuple[Column, ...],
        delta: Delta | None,
        open_staged: OpenStaged,
        progress: Progress,
    ) -> tuple[TableCopied, list[Segment]]:
        table = _table(part)
        files: list[Segment] = []

        def opened(name: str) -> Segment:
            path, stream = open_staged(name)
            files.append(Segment(path, stream))
            return files[-1]

        def copy(open_segment: Callable[[int], BinaryIO], dialect: CsvDialect) -> TableCopied:
            wanted = TableCopy(table.table, table.key, columns, dialect, delta)
            return snapshot.copy(wanted, open_segment, progress)

        if table.format == "parquet":
            with opened("rows.parquet") as stream:
                copied = write_as_parquet(copy, columns, stream)
        else:

            def segment(number: int) -> BinaryIO:
                name = f"rows-{number:03}.csv{part.compression.suffix}"
                return cast("BinaryIO", CompressedSegment(opened(name), part.compression))

            copied = copy(segment, table.csv.dialect())
        return copied, sorted(files, key=lambda file: file.path)


def _table(part: Part) -> TableRead:
    if part.table is None:
        raise TerminalError(f"the part {part.key} has no table", action=Action.ENGINEER)
    return part.table


def chosen_columns(
    part: Part, table: TableRead, found: Sequence[Column]
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The columns to export, and those of the clock.

    Raises:
        TerminalError: a column that the document, the key or the clock needs is missing, or is no date.
    """
    known = {column.name: column for column in found}
    missing = [name for name in (*table.columns, *table.key, *table.clock) if name not in known]
    if missing:
        raise TerminalError(
            f"{table.table} lacks the columns {', '.join(dict.fromkeys(missing))}",
            where=part.key,
            action=Action.ENGINEER,
            remedy="make the table or view, or catalogue.yaml, name the same columns",
        )
    clock = tuple(known[name] for name in table.clock)
    for column in clock:
        if column.kind not in CLOCK_KINDS:
            raise TerminalError(
                f"{table.table}.{column.name} is {column.kind}, so it can't tell when a row changed",
                where=part.key,
                action=Action.ENGINEER,
                remedy="name a date or timestamp as clock in catalogue.yaml",
            )
    return tuple(column for column in found if column.name not in table.never), clock
