"""Writes demo rows in bulk: COPY into PostgreSQL, executemany into SQLite and MariaDB."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from outfeed.datasets import dataset_folder
from outfeed.demo_data.orders import COLUMNS
from outfeed.errors import Action, ConfigError

_BUFFERED_ROWS = 100_000
#: Stands for NULL in what COPY reads, so that an empty text stays one; no demo text is this.
_NULL = "\x01NULL"


@dataclasses.dataclass(frozen=True)
class Tables:
    """The reference tables of a dataset: their columns in the order of the rows, parents first."""

    dataset: str
    columns: Mapping[str, tuple[str, ...]]


WORK_ORDERS = Tables("work-orders", COLUMNS)


class DemoDatabase(ABC):
    """A database with the reference tables. Statements use `?` for parameters."""

    schema: ClassVar[str]

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in tables.columns}
        self._count = 0

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Rows of a statement, if it gives any, and the number of rows that it found or changed."""

    @abstractmethod
    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Writes rows of one table."""

    @abstractmethod
    def _has_table(self, table: str) -> bool:
        """Whether a table is there."""

    def _names(self, table: str) -> str:
        return ",".join(f'"{column}"' for column in self.tables.columns[table])

    def add(self, rows: Mapping[str, list[tuple[Any, ...]]]) -> None:
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
        text = (dataset_folder(self.tables.dataset) / self.schema).read_text(encoding="utf-8")
        statements = [each.strip() for each in re.sub(r"--.*", "", text).split(";") if each.strip()]
        tables = [each for each in statements if each.startswith("CREATE TABLE")]
        missing = not self._has_table(next(iter(self.tables.columns)))
        for statement in tables if missing else ():
            self.execute(statement)
        yield
        self.flush()
        for statement in statements[len(tables) :] if missing else ():
            self.execute(statement)

    def last_keys(self) -> dict[str, int]:
        """The greatest surrogate key of each table."""
        tables = [table for table, columns in self.tables.columns.items() if columns[0] == "pk"]
        return {table: self.execute(f"SELECT max(pk) FROM {table}")[0][0][0] or 0 for table in tables}


class SqliteDatabase(DemoDatabase):
    """A file; made with its folder if it does not exist."""

    schema = "schema.sqlite.sql"

    def __init__(self, tables: Tables, connection: sqlite3.Connection) -> None:
        super().__init__(tables)
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """See the base class."""
        cursor = self._connection.execute(sql, parameters)
        return cursor.fetchall(), cursor.rowcount

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ",".join("?" * len(self.tables.columns[table]))
        names = self._names(table)
        self._connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)

    def _has_table(self, table: str) -> bool:
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table])[0])


class PostgresqlDatabase(DemoDatabase):
    """A database of a server."""

    schema = "schema.postgresql.sql"

    def __init__(self, tables: Tables, connection: Any) -> None:
        super().__init__(tables)
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """See the base class."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer).writerows([_NULL if value is None else value for value in row] for row in rows)
        buffer.seek(0)
        copy = f"COPY {table} ({self._names(table)}) FROM STDIN (FORMAT csv, NULL '{_NULL}')"
        with self._connection.cursor() as cursor:
            cursor.copy_expert(copy, buffer, 1 << 20)

    def _has_table(self, table: str) -> bool:
        return self.execute("SELECT to_regclass(?)", [table])[0][0][0] is not None


class MariadbDatabase(DemoDatabase):
    """A database of a MariaDB server. Making its tables is not undone when something fails later."""

    schema = "schema.mariadb.sql"

    def __init__(self, tables: Tables, connection: Any) -> None:
        super().__init__(tables)
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """See the base class."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            return list(cursor.fetchall()), cursor.rowcount

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ",".join(["%s"] * len(self.tables.columns[table]))
        with self._connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} ({self._names(table)}) VALUES ({marks})", rows)

    def _has_table(self, table: str) -> bool:
        found = "FROM information_schema.tables WHERE table_schema = database() AND table_name = ?"
        return bool(self.execute(f"SELECT 1 {found}", [table])[0])


@contextmanager
def open_database(url: str, tables: Tables = WORK_ORDERS) -> Iterator[DemoDatabase]:
    """A database by its URL, with login and password in it; all is committed at the end, or nothing.

    Times without a zone are taken as UTC, whatever the server's settings.

    Args:
        url: `sqlite:///path`, `postgresql://…` or `mariadb://…`.

    Raises:
        ConfigError: an SQLite file can't be written.
    """
    opened = {"sqlite": _open_sqlite, "mariadb": _open_mariadb}.get(url.partition(":")[0], _open_postgresql)
    with opened(url, tables) as database:
        yield database


@contextmanager
def _open_sqlite(url: str, tables: Tables) -> Iterator[DemoDatabase]:
    path = Path(url.partition(":///")[2])
    with closing(_connect_sqlite(path)) as connection:
        yield SqliteDatabase(tables, connection)
        connection.execute("COMMIT")


def _connect_sqlite(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"the demo database can't be written: {said}",
            where=str(path),
            action=Action.OPERATOR,
            remedy="set OUTFEED_HOME to a folder of yours, or name another database with --database-url",
        ) from error
    return connection


@contextmanager
def _open_postgresql(url: str, tables: Tables) -> Iterator[DemoDatabase]:
    import psycopg2

    with closing(psycopg2.connect(url, options="-c timezone=UTC")) as connection, connection:
        yield PostgresqlDatabase(tables, connection)


@contextmanager
def _open_mariadb(url: str, tables: Tables) -> Iterator[DemoDatabase]:
    import pymysql

    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.removeprefix("/"),
        charset="utf8mb4",
        init_command="SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')",
    )
    with closing(connection):
        yield MariadbDatabase(tables, connection)
        connection.commit()
