"""Tables of PostgreSQL: by COPY, large ones in ranges over connections that share one snapshot (design §8).

asyncpg hands over many rows at a time; the other drivers call Python once per row, which costs more than the
database needs to write it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from outfeed.errors import Action, TerminalError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.line_ends import CrlfConverter
from outfeed.sources import postgresql_table_sql as sql
from outfeed.sources.base import Progress
from outfeed.sources.postgresql_errors import asyncpg_explained
from outfeed.sources.row_marks import RowMarks
from outfeed.sources.tables import (
    Delta,
    OpenSegment,
    TableCopied,
    TableCopy,
    TableSnapshot,
    quoted,
    quoted_list,
)

if TYPE_CHECKING:
    from asyncpg import Connection

    from outfeed.sources.postgresql import PostgresqlEngine

T = TypeVar("T")

#: Bytes that are converted and written at a time: what is converted still lies in the processor's cache.
_BLOCK = 1 << 18
#: The most that asyncio reads at once is twice as much.
_FULL_READ = 1 << 17
_PAUSE = 0.001
#: Tables below are read as one piece; several pieces per connection even out what they weigh.
_WORTH_SPLITTING = 16 << 20
_PIECES_PER_CONNECTION = 4
#: Ranges of row addresses are an index of their own only from this version on.
_RANGE_SCANS = 140_000
_PAGE = 8192

_SETTINGS = """
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = 'hex'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL statement_timeout = '2h';
    SET LOCAL lock_timeout = '1min'; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL jit = off;
    SET LOCAL synchronize_seqscans = off; SET LOCAL standard_conforming_strings = on
"""

_COLUMNS = """
    SELECT a.attname, coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text AS type, c.relkind::text,
           nullif(CASE WHEN t.typbasetype = 0 THEN a.atttypmod ELSE t.typtypmod END, -1) AS modifier
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.oid = to_regclass($1)
    ORDER BY a.attnum
"""
_KINDS = {
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "numeric": Kind.DECIMAL,
    "real": Kind.FLOAT,
    "double precision": Kind.FLOAT,
    "boolean": Kind.BOOLEAN,
    "timestamp with time zone": Kind.INSTANT,
    "timestamp without time zone": Kind.LOCAL,
    "date": Kind.DATE,
    "time without time zone": Kind.TIME,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "uuid": Kind.UUID,
    "bytea": Kind.BYTES,
}
_IDENTITY = """
    SELECT pg_current_snapshot()::text AS snapshot, pg_snapshot_xmax(pg_current_snapshot())::text AS next,
           (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database,
           transaction_timestamp() AS now, current_setting('server_version_num')::int AS version
"""


class PostgresqlTables(TableSnapshot):
    """One exported snapshot, seen by up to `max_parallel` connections."""

    def __init__(self, engine: PostgresqlEngine) -> None:
        super().__init__()
        self._engine = engine
        self._connections: list[Connection] = []
        self._runner = asyncio.Runner()

    @classmethod
    @contextmanager
    def opened(cls, engine: PostgresqlEngine) -> Iterator[PostgresqlTables]:
        """Connects; closes all connections in the end, whatever happens."""
        tables = cls(engine)
        try:
            tables._run(tables._begin())
            yield tables
        finally:
            tables._runner.run(tables._close())
            tables._runner.close()

    @property
    def state(self) -> str:
        """The snapshot, and the server and database whose transactions it numbers."""
        return f"{self._server}/{self._identity['database']}/{self._identity['snapshot']}"

    @property
    def read_at(self) -> dt.datetime:
        """Begin of the transaction."""
        now: dt.datetime = self._identity["now"]
        return now

    def columns(self, table: str) -> list[Column]:
        """See the base class."""
        found = self._run(self._rows(table, _COLUMNS, quoted(table)))
        if not found:
            raise TerminalError(
                f"there is no table {table}",
                where=self._engine.where,
                action=Action.ENGINEER,
                remedy="name the platform's table in catalogue.yaml, or let the export's user see its schema",
            )
        self._relkind = found[0]["relkind"]
        return [_column(row) for row in found]

    def copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        """See the base class."""
        return self._run(self._copy(copy, open_segment, progress))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self.timed():
            return self._runner.run(work)

    async def _begin(self) -> None:
        leader = await self._connect(None)
        with asyncpg_explained(self._engine):
            self._identity = await leader.fetchrow(_IDENTITY)
            self._server = await self._server_id(leader)

    async def _server_id(self, leader: Connection) -> str:
        """Tells servers apart whose transactions count anew; not every login may ask."""
        from asyncpg import InsufficientPrivilegeError

        with suppress(InsufficientPrivilegeError):
            async with leader.transaction():
                return str(await leader.fetchval("SELECT system_identifier FROM pg_control_system()"))
        return "unknown"

    async def _connect(self, snapshot: str | None) -> Connection:
        import asyncpg

        with asyncpg_explained(self._engine):
            connection = await asyncpg.connect(**self._engine.asyncpg_options())
            self._connections.append(connection)
            # Never ended: closing the connections ends it, and nothing was written.
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            if snapshot is not None:
                await connection.execute(f"SET TRANSACTION SNAPSHOT {sql.literal(snapshot)}")
            await connection.execute(_SETTINGS)
        return connection

    async def _close(self) -> None:
        for connection in self._connections:
            connection.terminate()

    async def _rows(self, table: str, query: str, *arguments: Any) -> list[Any]:
        async with self._guarded(self._connections[0], table) as connection:
            return list(await connection.fetch(query, *arguments))

    @asynccontextmanager
    async def _guarded(self, connection: Connection, table: str) -> AsyncIterator[Connection]:
        """A statement that fails must not take the snapshot with it: a savepoint is around each."""
        with asyncpg_explained(self._engine, table):
            async with connection.transaction():
                yield connection

    async def _copy(self, copy: TableCopy, open_segment: OpenSegment, progress: Progress) -> TableCopied:
        counted = await self._count(copy)
        pieces = await self._pieces(copy)
        await self._share(min(self._engine.max_parallel, len(pieces)))
        work = _Copying(self, copy, list(enumerate(pieces)), open_segment, progress)
        jobs = [asyncio.ensure_future(work.drain(connection)) for connection in self._connections]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        return TableCopied(work.rows, *counted)

    async def _count(self, copy: TableCopy) -> tuple[int, int]:
        """Late and undated rows."""
        if copy.delta is None:
            return 0, 0
        seen = self._seen(copy.delta)
        late = f"count(*) FILTER (WHERE {sql.late(copy.delta, seen)})" if seen else "0"
        wanted = [sql.undated(copy.delta)] + ([sql.late(copy.delta, seen)] if seen else [])
        query = (
            f"SELECT {late} AS late, count(*) FILTER (WHERE {wanted[0]}) AS undated "
            f"FROM {quoted(copy.table)} WHERE {' OR '.join(wanted)}"
        )
        (row,) = await self._rows(copy.table, query)
        return row["late"], row["undated"]

    def _seen(self, delta: Delta) -> sql.Seen | None:
        """The previous read, if it was of this server and the table's rows tell who wrote them."""
        prefix, _, snapshot = (delta.seen or "").rpartition("/")
        own = self.state.rpartition("/")[0]
        if prefix != own or not delta.late_days or self._relkind not in ("r", "p"):
            return None
        return sql.Seen(snapshot, int(self._identity["next"]))

    async def _pieces(self, copy: TableCopy) -> list[str]:
        """Conditions that together give every wanted row once, in order."""
        if copy.delta is not None:
            seen = self._seen(copy.delta)
            wanted = [sql.within(copy.delta)] + ([sql.late(copy.delta, seen)] if seen else [])
            return [f"WHERE {' OR '.join(wanted)} ORDER BY {quoted_list(copy.key)}"]
        if self._relkind != "r":
            return [f"ORDER BY {quoted_list(copy.key)}"]
        query = "SELECT pg_relation_size(to_regclass($1)) AS size"
        ((size,),) = await self._rows(copy.table, query, quoted(copy.table))
        parallel = self._engine.max_parallel
        if size < _WORTH_SPLITTING or parallel == 1 or self._identity["version"] < _RANGE_SCANS:
            return [""]
        count = parallel * _PIECES_PER_CONNECTION
        cuts = [size // _PAGE * number // count for number in range(1, count)]
        starts = ["", *(f"ctid >= '({cut},0)'::tid" for cut in cuts)]
        ends = [*(f"ctid < '({cut},0)'::tid" for cut in cuts), ""]
        return ["WHERE " + " AND ".join(filter(None, bounds)) for bounds in zip(starts, ends, strict=True)]

    async def _share(self, count: int) -> None:
        """Opens connections that see what the first one sees."""
        if len(self._connections) >= count:
            return
        snapshot = await self._connections[0].fetchval("SELECT pg_export_snapshot()")
        while len(self._connections) < count:
            await self._connect(snapshot)


class _Copying:
    """One table on its way into segments."""

    def __init__(
        self,
        tables: PostgresqlTables,
        copy: TableCopy,
        pieces: list[tuple[int, str]],
        open_segment: OpenSegment,
        progress: Progress,
    ) -> None:
        self.rows = 0
        self._bytes = 0
        self._tables = tables
        self._table_copy = copy
        self._pieces = pieces
        self._open_segment = open_segment
        self._progress = progress
        values = zip(copy.columns, sql.values(copy), strict=True)
        listed = ", ".join(f"{value} AS {quoted(column.name)}" for column, value in values)
        self._select = f"SELECT {listed}"
        self._from = f"FROM {quoted(copy.table)}"
        self._options = sql.copy_options(copy.columns, copy.dialect)

    async def drain(self, connection: Connection) -> None:
        """Copies pieces until none is left."""
        while self._pieces:
            number, condition = self._pieces.pop(0)
            with self._open_segment(number) as stream:
                if number == 0:
                    stream.write(self._table_copy.dialect.header_line(self._table_copy.columns))
                rows = await self._piece(connection, condition, stream)
                # Not in one statement: it would forget what the other connections add in the meantime.
                self.rows += rows

    async def _piece(self, connection: Connection, condition: str, stream: BinaryIO) -> int:
        marks = self._marks()
        ends = CrlfConverter(self._table_copy.dialect) if marks is None else marks
        mark = "" if marks is None else f", {sql.literal(marks.mark)}::text"
        query = f"{self._select}{mark} {self._from} {condition}"
        rows = await self._copied(connection, query, _Writer(stream, ends, self._advance))
        if marks is not None:
            marks.require(rows)
        return rows

    def _marks(self) -> RowMarks | None:
        """If line feeds within values are told from those between rows only by enclosures.

        Alone in its row, a text `\\.` would be enclosed: that row gets no second column.
        """
        dialect = self._table_copy.dialect
        needed = dialect.line_end != b"\n" and dialect.line_break is None
        return RowMarks(dialect) if needed and len(self._table_copy.columns) > 1 else None

    async def _copied(self, connection: Connection, query: str, writer: _Writer) -> int:
        async with self._tables._guarded(connection, self._table_copy.table):
            done: str = await connection.copy_from_query(query, output=writer.write, **self._options)
        writer.finish()
        # The server's last word is like `COPY 5`.
        return int(done.rpartition(" ")[2])

    def _advance(self, count: int) -> None:
        self._bytes += count
        self._progress(self.rows, self._bytes)


class _Writer:
    """Collects what a connection sends into large blocks, with the dialect's line ends."""

    def __init__(
        self, stream: BinaryIO, ends: CrlfConverter | RowMarks, advance: Callable[[int], None]
    ) -> None:
        self._stream = stream
        self._ends = ends
        self._advance = advance
        self._blocks: list[bytes] = []
        self._pending = 0

    async def write(self, block: bytes) -> None:
        """Takes a block."""
        self._blocks.append(block)
        self._pending += len(block)
        if self._pending >= _BLOCK:
            self._flush()
        if len(block) < _FULL_READ:
            # The database is the slower one: what it sends in the meantime comes at once. To be woken for
            # each of its 8 KB would cost both sides a quarter of their time.
            await asyncio.sleep(_PAUSE)

    def _flush(self) -> None:
        block = b"".join(self._blocks)
        self._stream.write(self._ends.feed(block))
        self._advance(len(block))
        self._blocks.clear()
        self._pending = 0

    def finish(self) -> None:
        """Writes what is left."""
        self._flush()
        self._stream.write(self._ends.finish())


def _column(row: Any) -> Column:
    kind = _KINDS.get(row["type"], Kind.TEXT)
    modifier = row["modifier"]
    if kind is not Kind.DECIMAL or modifier is None:
        return Column(row["attname"], kind)
    # The modifier packs both, with an offset of 4.
    return Column(row["attname"], kind, ((modifier - 4) >> 16) & 0xFFFF, (modifier - 4) & 0x7FF)
