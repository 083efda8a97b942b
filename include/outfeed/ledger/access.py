"""How the ledger's tables are read and recorded in, fenced against older tries (XX-03)."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from outfeed.errors import SupersededError
from outfeed.ledger.database import Database
from outfeed.ledger.records import Fence
from outfeed.ledger.tables import fences


def now() -> dt.datetime:
    """The time that the ledger writes down."""
    return dt.datetime.now(dt.UTC)


class Access:
    """What the subjects of the ledger share; a transaction of an older try is refused (XX-03)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _rows(
        self,
        table: Table,
        *conditions: ColumnElement[bool],
        order: Sequence[ColumnElement[Any]] = (),
        limit: int | None = None,
    ) -> Sequence[Row[Any]]:
        with self._database.read() as connection:
            return connection.execute(select(table).where(*conditions).order_by(*order).limit(limit)).all()

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)

    def _upsert(
        self,
        connection: Connection,
        table: Table,
        values: Sequence[Mapping[str, Any]],
        keep: Sequence[str] = (),
    ) -> None:
        """Inserts rows, or replaces all but their key and what is to be kept."""
        statement = self._insert(table)
        changes = {name: statement.excluded[name] for name in other_columns(table) if name not in keep}
        connection.execute(
            statement.on_conflict_do_update(index_elements=key_columns(table), set_=changes), values
        )

    @contextlib.contextmanager
    def _fenced(self, fence: Fence) -> Iterator[Connection]:
        """A transaction of the newest try: a newer one can begin only when it has ended."""
        work = {name: value for name, value in dataclasses.asdict(fence).items() if name != "token"}
        newest = select(fences.c.token).where(*matching(fences, work)).with_for_update(read=True)
        with self._database.write() as connection:
            token = connection.scalar(newest)
            if token != fence.token:
                raise SupersededError(
                    f"try {fence.token} of step {fence.step!r} was superseded by try {token}",
                    where=f"{fence.customer}, run {fence.run_id}, {fence.target}",
                    remedy="nothing: the newer try does the work, this one recorded nothing more",
                )
            yield connection


def matching(table: Table, values: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """The conditions that rows with these values meet."""
    return [table.c[name] == value for name, value in values.items()]


def values_of(record: Any) -> dict[str, Any]:
    """The fields of a record, by the names of their columns."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def fields_of(row: Row[Any], without: Sequence[str] = ()) -> dict[str, Any]:
    """The columns of a row, by the names of their fields."""
    return {name: value for name, value in row._mapping.items() if name not in without}


def given(*filters: tuple[Any, Callable[[Any], ColumnElement[bool]]]) -> list[ColumnElement[bool]]:
    """The conditions whose value was asked for."""
    return [condition(value) for value, condition in filters if value is not None]


def key_columns(table: Table) -> list[str]:
    """The names of the columns of the primary key."""
    return [column.name for column in table.primary_key]


def other_columns(table: Table) -> list[str]:
    """The names of the columns outside the primary key."""
    return [column.name for column in table.columns if not column.primary_key]
