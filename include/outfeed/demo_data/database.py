"""Writes demo rows in bulk: COPY into PostgreSQL, executemany into SQLite."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from outfeed.datasets import dataset_folder
from outfeed.demo_data.orders import COLUMNS

_BUFFERED_ROWS = 100_000


class DemoDatabase(ABC):
    """A database with the reference tables. Statements use `?` for parameters."""

    schema: ClassVar[str]

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
        self._count = 0

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Rows of a statement, if it gives any, and the number of rows that it found or changed."""

    @abstractmethod
    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Writes rows of one table."""

    @abstractmethod
    def _has_tables(self) -> bool:
        """Whether the reference tables are there."""

    def add(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        """Takes rows by table; writes them when there are many."""
        for table, more in rows.items():
            self._waiting[table].extend(more)
            self._count += len(more)
        if self._count >= _BUFFERED_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what waits, parents first."""
        for table, rows in self._waiting.items():
            if rows:
                self._insert(table, rows)
                rows.clear()
        self._count = 0

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Makes missing tables; their indexes and foreign keys come after the rows, which is faster."""
        text = (dataset_folder("work-orders") / self.schema).read_text(encoding="utf-8")
        statements = [each.strip() for each in re.sub(r"--.*", "", text).split(";") if each.strip()]
        tables = [each for each in statements if each.startswith("CREATE TABLE")]
        missing = not self._has_tables()
        for statement in tables if missing else ():
            self.execute(statement)
        yield
        self.flush()
        for statement in statements[len(tables) :] if missing else ():
            self.execute(statement)

    def last_keys(self) -> dict[str, int]:
        """The greatest surrogate key of each table."""
        tables = [table for table, columns in COLUMNS.items() if columns[0] == "pk"]
        return {table: self.execute(f"SELECT max(pk) FROM {table}")[0][0][0] or 0 for table in tables}


class SqliteDatabase(DemoDatabase):
    """A file; made with its folder if it does not exist."""

    schema = "schema.sqlite.sql"

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """See the base class."""
        cursor = self._connection.execute(sql, parameters)
        return cursor.fetchall(), cursor.rowcount

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ",".join("?" * len(COLUMNS[table]))
        names = ",".join(f'"{column}"' for column in COLUMNS[table])
        self._connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)

    def _has_tables(self) -> bool:
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE name = 'work_order'")[0])


class PostgresqlDatabase(DemoDatabase):
    """A database of a server."""

    schema = "schema.postgresql.sql"

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """See the base class."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer).writerows(rows)
        buffer.seek(0)
        names = ",".join(f'"{column}"' for column in COLUMNS[table])
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT csv)", buffer, 1 << 20)

    def _has_tables(self) -> bool:
        return self.execute("SELECT to_regclass('work_order')")[0][0][0] is not None


@contextmanager
def open_database(url: str) -> Iterator[DemoDatabase]:
    """A database by its URL, with login and password in it; all is committed at the end, or nothing."""
    if url.startswith("sqlite:"):
        path = Path(url.partition(":///")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, isolation_level=None)
        try:
            file.execute("BEGIN IMMEDIATE")
            yield SqliteDatabase(file)
            file.execute("COMMIT")
        finally:
            file.close()
        return
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        with connection:
            yield PostgresqlDatabase(connection)
    finally:
        connection.close()
