"""SQLite's errors in Outfeed's words: does a retry help, whose action ends it, no data in the text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from outfeed.errors import Action, OutfeedError, TerminalError, TransientError


@contextmanager
def explained(where: str, subject: str | None = None) -> Iterator[None]:
    """Raises SQLite's errors as `OutfeedError` that names the SQL file or table."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, where, subject) from None


def _translated(error: sqlite3.Error, where: str, subject: str | None) -> OutfeedError:
    """Says whether a retry helps."""
    # Absent where Python itself raises, for example for a parameter without a value.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # A text that is not UTF-8 is quoted in the message.
    text = str(error).partition(" with text ")[0]
    what = f"{subject}: {text}" if subject else text
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR):
        return TransientError(what, where=where, action=Action.OPERATOR, remedy="run it again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_PERM):
        return TerminalError(
            what, where=where, action=Action.OPERATOR, remedy="check the file and the permissions on it"
        )
    return TerminalError(
        what,
        where=where,
        action=Action.ENGINEER,
        remedy="make the dataset's SQL fit the platform's tables",
    )
