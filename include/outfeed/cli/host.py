"""What the command line needs of the machine that it runs on: connections, the ledger, a place for secrets.

The library knows nothing of Airflow: `outfeed` takes connections from the environment variables that Airflow
defines for them. `bin/outfeed` of the project is the same command with Airflow's own connections and ledger.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Protocol

import click

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, ConfigError, TerminalError
from outfeed.home import ledger_url

_PREFIX = "AIRFLOW_CONN_"
WITH_AIRFLOW = "bin/outfeed"


@dataclasses.dataclass(frozen=True)
class SecretPlace:
    """Where a connection is kept, in words, and whether this command can change it there."""

    name: str
    writable: bool


class Host(Protocol):
    """Where the command line runs."""

    def find(self, conn_id: str) -> Credentials | None:
        """Plain values of an Airflow connection, or None if it is not defined."""

    def not_found(self, conn_id: str) -> TerminalError:
        """The error of a connection that is not defined here."""

    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger. It may hold a password: never shown."""

    def secret_place(self, conn_id: str) -> SecretPlace:
        """Where the connection is kept, or would be if it were made now."""

    def change_extra(self, conn_id: str, changes: Mapping[str, str | None]) -> None:
        """Sets fields of a connection's extra, removes those that are None; makes the connection if needed.

        To be called only where `secret_place` is writable.
        """


class EnvironmentHost:
    """A host without Airflow: connections stand in the environment, in the form that Airflow defines."""

    def find(self, conn_id: str) -> Credentials | None:
        """See `Host`."""
        from outfeed.cli.connection_text import parse_connection

        name = f"{_PREFIX}{conn_id.upper()}"
        text = os.environ.get(name)
        return None if not text else parse_connection(text, name)

    def not_found(self, conn_id: str) -> TerminalError:
        """See `Host`."""
        return TerminalError(
            f"the Airflow connection {conn_id!r} is not known here",
            action=Action.OPERATOR,
            remedy=f"run `{WITH_AIRFLOW} …` of the project, which knows Airflow, or set "
            f"{_PREFIX}{conn_id.upper()} to the connection's URI or JSON",
        )

    def ledger_url(self) -> str:
        """See `Host`."""
        return ledger_url()

    def secret_place(self, conn_id: str) -> SecretPlace:
        """See `Host`."""
        return SecretPlace("the secrets store of Airflow, which this command does not know", writable=False)

    def change_extra(self, conn_id: str, changes: Mapping[str, str | None]) -> None:
        """See `Host`."""
        raise ConfigError("this command can't change a connection", action=Action.OPERATOR)


def credentials(host: Host, conn_id: str | None) -> Credentials:
    """Plain values of a destination's connection; empty ones for a destination that needs no secrets.

    Raises:
        TerminalError: the connection is not defined.
    """
    if conn_id is None:
        return Credentials()
    found = host.find(conn_id)
    if found is None:
        raise host.not_found(conn_id)
    return found


def current_host() -> Host:
    """The host that the command was started for."""
    host: Host | None = click.get_current_context().find_root().obj
    return host or EnvironmentHost()
