"""What an error of a database server means: does a retry help, whose action ends it."""

from __future__ import annotations

from enum import Enum

from outfeed.errors import Action, OutfeedError, TerminalError, TransientError


class Verdict(Enum):
    """Kinds of errors, each with its class, whose action ends it, and the remedy."""

    REFUSED = (
        TerminalError,
        Action.OPERATOR,
        "correct login, password and database in the source's Airflow connection",
    )
    TLS = (
        TerminalError,
        Action.OPERATOR,
        "correct the TLS options and certificates in the source's Airflow connection",
    )
    FORBIDDEN = (
        TerminalError,
        Action.OPERATOR,
        "grant the export's user SELECT on the platform's tables",
    )
    PASSING = (
        TransientError,
        Action.OPERATOR,
        "check that the database is up and not overloaded, and that this host may reach it; run it again",
    )
    UNFIT = (
        TerminalError,
        Action.ENGINEER,
        "make the platform's table or view, and catalogue.yaml, fit each other",
    )

    def error(self, what: str, where: str) -> OutfeedError:
        """The error to raise."""
        error: type[OutfeedError]
        error, action, remedy = self.value
        return error(what, where=where, action=action, remedy=remedy)
