"""PostgreSQL's errors in Outfeed's words: does a retry help, whose action ends it, no secret in the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outfeed.datasets import Statement
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

if TYPE_CHECKING:
    import asyncpg
    import psycopg2

    from outfeed.sources.postgresql import PostgresqlEngine

#: A refused connection has no SQLSTATE: only the text tells that the server was reached and said no.
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "authentication failed",
    "no pg_hba.conf entry",
    "permission denied for database",
    "does not exist",
    "is not permitted to log in",
    "certificate verify failed",
    "does not support SSL",
    "invalid connection option",
)

#: SQLSTATE classes that pass: connection, rollback, resources, operator intervention, system, lock timeout.
_PASSING_CLASSES = ("08", "40", "53", "57", "58")
_LOCK_NOT_AVAILABLE = "55P03"
_INSUFFICIENT_PRIVILEGE = "42501"
#: Their messages may quote the data.
_DATA_CLASSES = ("22", "23", "P0")


@contextmanager
def explained(where: str, secrets: Sequence[str], statement: Statement | None = None) -> Iterator[None]:
    """Raises the driver's errors as `OutfeedError`: SQL file, place, whose action; no secret, no data."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise _translated(error, where, secrets, statement) from None


@contextmanager
def asyncpg_explained(engine: PostgresqlEngine, table: str | None = None) -> Iterator[None]:
    """The same for asyncpg's errors: they name the table instead of a file of ours."""
    import asyncpg

    try:
        yield
    except asyncpg.PostgresError as error:
        raise _verdict(error.sqlstate, _safe(error), engine.where, table) from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        # A session that is ended while rows arrive leaves the driver in a state that it calls internal.
        text = _without(engine.secrets, " ".join(str(error).split()) or type(error).__name__)
        raise _disconnected(f"{table}: {text}" if table else text, engine.where) from None


def _safe(error: asyncpg.PostgresError) -> str:
    """The server's primary message; only its class where the message could quote the data."""
    state = error.sqlstate
    if state is not None and state[:2] in _DATA_CLASSES:
        return f"{type(error).__name__} (SQLSTATE {state})"
    return " ".join(str(error.args[0] if error.args else error).split())


def _without(secrets: Sequence[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _translated(
    error: psycopg2.Error, where: str, secrets: Sequence[str], statement: Statement | None
) -> OutfeedError:
    text = _without(secrets, _message(error))
    return _verdict(error.pgcode, text, where, statement.file if statement else None)


def _verdict(state: str | None, text: str, where: str, subject: str | None) -> OutfeedError:
    what = f"{subject}: {text}" if subject else text
    if state is None or state.startswith(("28", "3D")):
        return _disconnected(what, where)
    if state[:2] in _PASSING_CLASSES or state == _LOCK_NOT_AVAILABLE:
        return TransientError(
            what,
            where=where,
            action=Action.OPERATOR,
            remedy="run it again; if it happens again, look at the load and the log of the database",
        )
    if state == _INSUFFICIENT_PRIVILEGE:
        return TerminalError(
            what,
            where=where,
            action=Action.OPERATOR,
            remedy="grant the export's user SELECT on the platform's tables",
        )
    return TerminalError(
        what, where=where, action=Action.ENGINEER, remedy="make the dataset's SQL fit the platform's tables"
    )


def _message(error: psycopg2.Error) -> str:
    """The server's primary message; only its class where the message could quote the data."""
    state = error.pgcode
    if state is not None and state[:2] in _DATA_CLASSES:
        return f"{type(error).__name__} (SQLSTATE {state})"
    return " ".join((error.diag.message_primary or str(error)).split())


def _disconnected(what: str, where: str) -> OutfeedError:
    if any(refusal in what for refusal in _REFUSALS):
        return TerminalError(
            what,
            where=where,
            action=Action.OPERATOR,
            remedy="correct login, password and database in the source's Airflow connection",
        )
    return TransientError(
        what,
        where=where,
        action=Action.OPERATOR,
        remedy="check that the database is up and that this host may reach it",
    )
