"""A demo platform on each engine, what `RelationalSource` reads of it, and what plain SQL says of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import io
import json
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from outfeed.config.catalogue import Entity, catalogue
from outfeed.config.csv_options import CsvOptions
from outfeed.connectors.base import Credentials
from outfeed.plan import Part, TableRead
from outfeed.sources.base import Extracted, Reader
from outfeed.sources.relational import RelationalSource

END = dt.date(2026, 3, 4)
DAY = dt.timedelta(days=1)
MIDNIGHT = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
ENTITIES: dict[str, Entity] = catalogue()


@dataclasses.dataclass(frozen=True)
class Place:
    """A database of an engine; the URL has login and password in it."""

    engine: str
    url: str

    @property
    def source_url(self) -> str:
        """The URL as a source gets it."""
        parts = urlsplit(self.url)
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return self.url.replace(login, "", 1) if login else self.url

    @property
    def credentials(self) -> Credentials:
        """Login and password."""
        parts = urlsplit(self.url)
        return Credentials(login=parts.username, password=parts.password)

    def source(self, credentials: Credentials | None = None) -> RelationalSource:
        """The source under test."""
        return RelationalSource(self.source_url, credentials or self.credentials)

    @contextlib.contextmanager
    def reading(self, folder: Path) -> Iterator[Reading]:
        """Reads with one state of the database."""
        with self.source().reading() as reader:
            yield Reading(reader, folder)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection of the engine's usual driver that commits each statement; times are UTC."""
        if self.engine == "sqlite":
            path = self.url.partition(":///")[2]
            connection: Any = sqlite3.connect(path, isolation_level=None)
        elif self.engine == "postgresql":
            import psycopg

            connection = psycopg.connect(self.url, autocommit=True, options="-c timezone=UTC")
        else:
            import pymysql

            parts = urlsplit(self.url)
            connection = pymysql.connect(
                host=parts.hostname,
                port=parts.port or 3306,
                user=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                database=parts.path.lstrip("/"),
                charset="utf8mb4",
                autocommit=True,
                init_command="SET time_zone = '+00:00', sql_mode = 'ANSI_QUOTES'",
            )
        with contextlib.closing(connection):
            yield connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        with self.connect() as connection, contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def run(self, *statements: str) -> None:
        """Runs statements."""
        for statement in statements:
            self.rows(statement)


class Reading:
    """One consistent read."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self._staged = 0

    def extract(self, part: Part) -> Read:
        """Reads a part."""
        extracted = self._reader.extract(part, self._open, lambda rows, count: None)
        content = b"".join(Path(path).read_bytes() for path in extracted.segments)
        assert extracted.bytes == len(content)
        return Read(extracted, content)

    def _open(self, name: str) -> tuple[str, BinaryIO]:
        self._staged += 1
        path = self._folder / f"{self._staged:04}-{name}"
        return str(path), path.open("wb")


@dataclasses.dataclass
class Read:
    """What was read."""

    extracted: Extracted
    content: bytes

    @property
    def names(self) -> list[str]:
        """The header."""
        return [column.name for column in self.extracted.columns]

    @property
    def rows(self) -> list[tuple[str | None, ...]]:
        """The fields as pyarrow reads them, which tells NULL from the empty text."""
        import pyarrow as pa
        from pyarrow import csv

        table = csv.read_csv(
            io.BytesIO(self.content),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        assert table.column_names == self.names
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def make_part(
    table: str = "t",
    key: Sequence[str] = ("id",),
    clock: Sequence[str] = (),
    *,
    start: dt.datetime = MIDNIGHT - DAY,
    end: dt.datetime = MIDNIGHT,
    never: Sequence[str] = (),
    columns: Sequence[str] = (),
    seen: str | None = None,
    late_days: int = 0,
    **options: Any,
) -> Part:
    """A part: a delta if it has a clock."""
    read = TableRead(
        table=table,
        key=tuple(key),
        clock=tuple(clock),
        columns=tuple(columns),
        never=tuple(never),
        csv=CsvOptions(**options),
        format="csv",
        seen=seen,
        late_days=late_days,
    )
    return Part(
        key=f"delta/{table}" if clock else f"snapshot/{table}",
        dataset="platform-data",
        mode="delta" if clock else "snapshot",
        subject=table,
        start=start,
        end=end,
        stems={},
        extension=".csv",
        media_type="text/csv",
        table=read,
    )


def entity_part(entity: str, *, delta: bool, without: Sequence[str] = (), **options: Any) -> Part:
    """A part of the catalogue, perhaps without some columns."""
    found = ENTITIES[entity]
    return make_part(
        found.table,
        found.key,
        found.clock if delta else (),
        never=(*found.never, *without),
        columns=found.columns,
        **options,
    )


def spelt(value: Any, declared: str) -> Any:
    """A value that a driver gave, as the file must hold it; numbers as numbers."""
    if value is None or (isinstance(value, str) and not declared.upper().startswith("TIMESTAMP")):
        return value
    if isinstance(value, str):
        return spelt(dt.datetime.fromisoformat(value), declared)
    if isinstance(value, dt.datetime):
        value = value if value.tzinfo is None else value.astimezone(dt.UTC)
        return value.strftime("%Y-%m-%dT%H:%M:%S+0000")
    if isinstance(value, dict | list | float | Decimal):
        return value
    if declared.startswith("DECIMAL"):
        return Decimal(value)
    return str(int(value)) if isinstance(value, bool | int) else str(value)


def same(field: str | None, value: Any) -> bool:
    """Whether a field holds a value that `spelt` gave."""
    if field is None or isinstance(value, str | None):
        return bool(field == value)
    if isinstance(value, dict | list):
        return bool(json.loads(field) == value)
    return bool(float(field) == value if isinstance(value, float) else Decimal(field) == value)
