"""PostgreSQL: lines leave by COPY, several ranges at once under one exported snapshot (design §8)."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from outfeed.datasets import Statement, read_statement
from outfeed.errors import Action, TerminalError
from outfeed.sources.base import OpenStaged, Progress
from outfeed.sources.engine import Copied, Copy, Engine, LineWriter, Parameters, Snapshot, Tally
from outfeed.sources.postgresql_errors import explained
from outfeed.sources.tables import TableEngine, TableSnapshot

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

T = TypeVar("T")

#: COPY's csv form quotes a value only if it holds one of these, a line break or `\.`; JSON never does raw.
_DELIMITER, _QUOTE = b"\x01", b"\x02"
_COPY_OPTIONS = "FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ENCODING 'UTF8'"

#: A night's export that takes longer is a fault of its plan or its server.
_STATEMENT_TIMEOUT = "2h"
_LOCK_TIMEOUT = "1min"
_CONNECT_TIMEOUT = 15

#: Fewer records than this are read as one piece; several per connection even out what pieces weigh.
_WORTH_SPLITTING = 2_000
_PIECES_PER_CONNECTION = 4


class PostgresqlEngine(Engine, TableEngine):
    """A server; the URL is `postgresql://host:port/database`, login and password are credentials."""

    name: ClassVar[str] = "postgresql"

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """See the base class: REPEATABLE READ, READ ONLY, with time limits."""
        with ExitStack() as stack:
            yield PostgresqlSnapshot(self, stack)

    @contextmanager
    def tables(self) -> Iterator[TableSnapshot]:
        """See the base class."""
        from outfeed.sources.postgresql_tables import PostgresqlTables

        with PostgresqlTables.opened(self) as tables:
            yield tables

    @property
    def where(self) -> str:
        """The database's URL without login, password and options, for messages."""
        parts = urlsplit(self.url)
        port = f":{self._port(parts)}"
        return f"postgresql://{self._host(parts)}{port}{parts.path}"

    def connect(self) -> Connection:
        """A connection in a transaction that has not read yet."""
        import psycopg2

        parts = urlsplit(self.url)
        options: dict[str, Any] = dict(parse_qsl(parts.query))
        with explained(self.where, self._secrets(parts)):
            connection: Connection = psycopg2.connect(
                **{
                    "host": self._host(parts),
                    "port": self._port(parts),
                    "dbname": unquote(parts.path.lstrip("/")),
                    "user": self.credentials.login or unquote(parts.username or "") or None,
                    "password": self.credentials.password or unquote(parts.password or "") or None,
                    "application_name": "outfeed",
                    "client_encoding": "UTF8",
                    "connect_timeout": _CONNECT_TIMEOUT,
                    # A server that vanished is noticed in about a minute instead of hours.
                    "keepalives_idle": 30,
                    "keepalives_interval": 10,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 60_000,
                    **options,
                }
            )
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return connection

    def asyncpg_options(self) -> dict[str, Any]:
        """How the same server is reached by asyncpg; options of the URL, such as `sslmode`, as they are."""
        parts = urlsplit(self.url)
        return {
            "dsn": f"postgresql:///?{parts.query}" if parts.query else None,
            "host": self._host(parts),
            "port": self._port(parts),
            "database": unquote(parts.path.lstrip("/")),
            "user": self.credentials.login or unquote(parts.username or "") or None,
            "password": self.credentials.password or unquote(parts.password or "") or None,
            "timeout": _CONNECT_TIMEOUT,
            "server_settings": {"application_name": "outfeed", "client_encoding": "UTF8"},
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        return self._secrets(urlsplit(self.url))

    def explained(self, statement: Statement | None = None) -> Any:
        """Translates the driver's errors in a block."""
        return explained(self.where, self._secrets(urlsplit(self.url)), statement)

    def _host(self, parts: SplitResult) -> str:
        return parts.hostname or self.credentials.host or "localhost"

    def _port(self, parts: SplitResult) -> int:
        return parts.port or self.credentials.port or 5432

    def _secrets(self, parts: SplitResult) -> tuple[str, ...]:
        known = (self.credentials.password, parts.password, unquote(parts.password or ""))
        return tuple(secret for secret in known if secret)


class PostgresqlSnapshot(Snapshot):
    """One exported snapshot, seen by up to `max_parallel` connections."""

    def __init__(self, engine: PostgresqlEngine, stack: ExitStack) -> None:
        super().__init__()
        self._engine = engine
        self._stack = stack
        self._leader = self._open(None)
        self._connections = [self._leader]

    def rows(self, statement: Statement, parameters: Parameters) -> list[tuple[Any, ...]]:
        """See the base class."""

        def fetch() -> list[tuple[Any, ...]]:
            with self.timed(), self._engine.explained(statement), self._leader.cursor() as cursor:
                cursor.execute(statement.text, dict(parameters))
                return cursor.fetchall()

        (found,) = self._attend([fetch], threading.Event(), lambda: None)
        return found

    def pieces(self, dataset: str, parameters: Parameters) -> list[Parameters]:
        """The window cut at instants, so that pieces hold about as many records each.

        The records' first order is their instant, so the pieces in order are the whole, byte for byte.
        """
        if self._engine.max_parallel == 1:
            return [parameters]
        count = self._engine.max_parallel * _PIECES_PER_CONNECTION
        fractions = [number / count for number in range(1, count)]
        statement = read_statement(dataset, self._engine.name, "split")
        ((records, cuts),) = self.rows(statement, {**parameters, "fractions": fractions})
        if records < _WORTH_SPLITTING:
            return [parameters]
        start, end = parameters["start"], parameters["end"]
        inner = sorted({cut for cut in cuts if start < cut < end})
        bounds = [start, *inner, end]
        return [{**parameters, "start": first, "end": last} for first, last in itertools.pairwise(bounds)]

    def copy(self, copies: Sequence[Copy], open_staged: OpenStaged, progress: Progress) -> list[Copied]:
        """See the base class. Interrupted or failed, it ends the statements that still run."""
        self._connect(min(self._engine.max_parallel, len(copies)))
        work = _Work(copies)
        self._attend(
            [partial(self._drain, each, work, open_staged) for each in self._connections],
            work.stop,
            lambda: progress(work.tally.rows, work.tally.bytes),
        )
        return [work.done[index] for index in range(len(copies))]

    def _attend(
        self, jobs: Sequence[Callable[[], T]], stop: threading.Event, tick: Callable[[], None]
    ) -> list[T]:
        """Runs jobs in threads; if one fails or a signal arrives, ends what the others do in the database.

        The driver keeps a signal waiting until the server answers, so the waiting is done here.
        """
        with ThreadPoolExecutor(len(jobs), "postgresql") as pool:
            threads = [pool.submit(job) for job in jobs]
            try:
                running = set(threads)
                while running:
                    finished, running = wait(running, timeout=1, return_when=FIRST_EXCEPTION)
                    for thread in finished:
                        thread.result()
                    tick()
            except BaseException:
                stop.set()
                self._cancel(threads)
                raise
        return [thread.result() for thread in threads]

    def _cancel(self, threads: Sequence[Future[Any]]) -> None:
        from psycopg2 import Error

        # Again until the threads have ended: a cancel that arrives between two statements is lost.
        while wait(threads, timeout=0.2).not_done:
            for connection in self._connections:
                with suppress(Error):
                    connection.cancel()

    def _drain(self, connection: Connection, work: _Work, open_staged: OpenStaged) -> None:
        while not work.stop.is_set():
            try:
                index, copy = work.todo.get_nowait()
            except queue.Empty:
                return
            work.done[index] = self._copy(connection, copy, open_staged, work.tally)

    def _copy(self, connection: Connection, copy: Copy, open_staged: OpenStaged, tally: Tally) -> Copied:
        path, stream = open_staged(copy.name)
        with stream, self.timed(), self._engine.explained(copy.statement), connection.cursor() as cursor:
            writer = _CopyWriter(stream, tally, copy.statement)
            query = cursor.mogrify(copy.statement.text, dict(copy.parameters)).decode()
            cursor.copy_expert(
                f"COPY ({query}\n) TO STDOUT ({_COPY_OPTIONS})",
                writer,
            )
            writer.flush()
        return Copied(path, writer.rows, writer.bytes)

    def _connect(self, count: int) -> None:
        """Opens connections that see what the first one sees."""
        if len(self._connections) >= count:
            return
        ((snapshot,),) = self.rows(Statement("snapshot", "SELECT pg_export_snapshot()"), {})
        while len(self._connections) < count:
            self._connections.append(self._open(snapshot))

    def _open(self, snapshot: str | None) -> Connection:
        connection = self._engine.connect()
        self._stack.callback(connection.close)
        with self._engine.explained(), connection.cursor() as cursor:
            if snapshot is not None:
                cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
            cursor.execute("SET LOCAL TimeZone = 'UTC'")
            cursor.execute("SET LOCAL statement_timeout = %s", (_STATEMENT_TIMEOUT,))
            cursor.execute("SET LOCAL lock_timeout = %s", (_LOCK_TIMEOUT,))
            # The estimated cost of these statements would trigger it; compiling takes longer than it saves.
            cursor.execute("SET LOCAL jit = off")
        return connection


class _Work:
    """What the connections have to do, and have done."""

    def __init__(self, copies: Sequence[Copy]) -> None:
        self.todo: queue.SimpleQueue[tuple[int, Copy]] = queue.SimpleQueue()
        for entry in enumerate(copies):
            self.todo.put(entry)
        self.done: dict[int, Copied] = {}
        self.tally = Tally()
        self.stop = threading.Event()


class _CopyWriter(LineWriter):
    """Takes the rows of a COPY, which the driver hands over one by one."""

    def __init__(self, stream: Any, tally: Tally, statement: Statement) -> None:
        super().__init__(stream, tally)
        self._statement = statement

    def write(self, line: bytes) -> None:
        """Takes one row."""
        plain = _QUOTE not in line and _DELIMITER not in line
        super().write(line if plain else self._unquoted(line))

    def _unquoted(self, row: bytes) -> bytes:
        """A row that COPY quoted: a raw line break in JSON can only be white space between tokens.

        Raises:
            TerminalError: if it was quoted for another reason, because then it is no JSON.
        """
        content = row[1:-2]
        if not (row.startswith(_QUOTE) and row.endswith(_QUOTE + b"\n")) or (
            _QUOTE in content or _DELIMITER in content
        ):
            raise TerminalError(
                f"{self._statement.file}: a record holds raw control characters or has more than one column",
                action=Action.ENGINEER,
                remedy="let the statement give one column of JSON text, with to_json() around text",
            )
        return content.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
