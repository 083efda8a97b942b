"""Database engines, found by the scheme of a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from outfeed.errors import Action, TerminalError
from outfeed.sources.engine import Engine
from outfeed.sources.mysql import MysqlEngine
from outfeed.sources.oracle import OracleEngine
from outfeed.sources.postgresql import PostgresqlEngine
from outfeed.sources.sqlite import SqliteEngine
from outfeed.sources.tables import TableEngine

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials

T = TypeVar("T")

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (PostgresqlEngine, SqliteEngine)}

TABLE_ENGINES: dict[str, Callable[[str, Credentials, int], TableEngine]] = {
    "postgresql": PostgresqlEngine,
    "sqlite": SqliteEngine,
    "mysql": MysqlEngine,
    "mariadb": MysqlEngine,
    "oracle": OracleEngine,
}


def open_engine(url: str, credentials: Credentials, max_parallel: int) -> Engine:
    """The engine of a URL, not yet connected.

    Raises:
        TerminalError: for a scheme that no engine has.
    """
    return _known(ENGINES, url, "a")(url, credentials, max_parallel)


def open_table_engine(url: str, credentials: Credentials, max_parallel: int) -> TableEngine:
    """The engine of a URL whose tables can be read, not yet connected.

    Raises:
        TerminalError: for a scheme that no such engine has.
    """
    return _known(TABLE_ENGINES, url, "tables of a")(url, credentials, max_parallel)


def _known(engines: Mapping[str, T], url: str, what: str) -> T:
    """The engine of the scheme of a URL."""
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme not in engines:
        raise TerminalError(
            f"no source can read {what} {scheme!r} database",
            action=Action.OPERATOR,
            remedy=f"use a connection to one of: {', '.join(engines)}",
        )
    return engines[scheme]
