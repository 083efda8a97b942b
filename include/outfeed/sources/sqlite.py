"""SQLite: one read transaction, one cursor; timestamps are UTC text with six digits and offset."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from outfeed.datasets import Statement
from outfeed.errors import Action, TerminalError
from outfeed.sources import sqlite_worker
from outfeed.sources.base import OpenStaged, Progress
from outfeed.sources.engine import Copied, Copy, Engine, LineWriter, Parameters, Snapshot, Tally
from outfeed.sources.sqlite_errors import explained
from outfeed.sources.sqlite_worker import connect
from outfeed.sources.tables import TableEngine, TableSnapshot

_ROWS_PER_FETCH = 200


class SqliteEngine(Engine, TableEngine):
    """A database file; the URL is `sqlite:///relative/path` or `sqlite:////absolute/path`."""

    name: ClassVar[str] = "sqlite"

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self.url.partition(":///")[2])

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """See the base class: a read transaction sees one state, whatever others write meanwhile."""
        with self.transaction() as connection:
            yield SqliteSnapshot(connection, str(self.path))

    @contextmanager
    def tables(self) -> Iterator[TableSnapshot]:
        """See the base class."""
        from outfeed.sources.sqlite_tables import SqliteTables

        with self.transaction() as connection, ExitStack() as stack:
            worker = None
            if self.max_parallel > 1 and self.path.stat().st_size >= sqlite_worker.WORTH_TWO:
                worker = stack.enter_context(sqlite_worker.second_reader(self.path, connection))
            yield SqliteTables(connection, str(self.path), worker)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that can't write, in a transaction that has not read yet."""
        where = str(self.path)
        if not self.path.is_file():
            raise TerminalError(
                "the database file does not exist",
                where=where,
                action=Action.OPERATOR,
                remedy="correct the path in the source's Airflow connection",
            )
        with explained(where), closing(connect(self.path)) as connection:
            connection.execute("BEGIN")
            yield connection

    def instant(self, value: dt.datetime) -> str:
        """The text form whose order is the order of time."""
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")


class SqliteSnapshot(Snapshot):
    """A read transaction."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        super().__init__()
        self._connection = connection
        self._where = where

    def rows(self, statement: Statement, parameters: Parameters) -> list[tuple[Any, ...]]:
        """See the base class."""
        with self.timed(), explained(self._where, statement.file):
            return self._connection.execute(statement.text, dict(parameters)).fetchall()

    def pieces(self, dataset: str, parameters: Parameters) -> list[Parameters]:
        """The whole window: SQLite has one reader per connection and nothing to gain from more."""
        return [parameters]

    def copy(self, copies: Sequence[Copy], open_staged: OpenStaged, progress: Progress) -> list[Copied]:
        """See the base class; one after the other."""
        tally = Tally()
        return [self._copy(copy, open_staged, progress, tally) for copy in copies]

    def _copy(self, copy: Copy, open_staged: OpenStaged, progress: Progress, tally: Tally) -> Copied:
        path, stream = open_staged(copy.name)
        with stream, self.timed(), explained(self._where, copy.statement.file):
            writer = LineWriter(stream, tally)
            cursor = self._connection.execute(copy.statement.text, dict(copy.parameters))
            while rows := cursor.fetchmany(_ROWS_PER_FETCH):
                for (text,) in rows:
                    writer.write(_line(text))
                progress(tally.rows, tally.bytes)
            writer.flush()
        return Copied(path, writer.rows, writer.bytes)


def _line(text: str) -> bytes:
    """One line: a raw line break in JSON can only be white space between tokens."""
    if "\n" in text or "\r" in text:
        text = text.replace("\n", " ").replace("\r", " ")
    return text.encode() + b"\n"
