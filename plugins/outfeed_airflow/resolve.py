"""Airflow's connections and this installation's settings, as the plain values that the library takes.

Secrets leave Airflow here and nowhere else (XX-06). Runs in tasks, never while a DAG file is parsed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, TerminalError
from outfeed.home import home, ledger_url

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from upath import UPath

    from outfeed.config.models import CustomerConfig
    from outfeed.ledger import Ledger
    from outfeed.sources.base import Source

#: Airflow connection of the ledger's database; without it the ledger is a file under OUTFEED_HOME.
LEDGER_CONNECTION = "outfeed_ledger"

_DRIVERS = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mariadb",
    "oracle": "oracle",
}


def connection(conn_id: str) -> Connection:
    """The Airflow connection `conn_id`.

    Raises:
        TerminalError: naming it, if it is not defined.
    """
    found = _find_connection(conn_id)
    if found is None:
        raise undefined(conn_id)
    return found


def undefined(conn_id: str) -> TerminalError:
    """The error of a connection that is not defined."""
    return TerminalError(
        f"the Airflow connection {conn_id!r} is not defined",
        action=Action.OPERATOR,
        remedy="add it under Admin, Connections or in the secrets backend, and try again (a task: clear it)",
    )


def _find_connection(conn_id: str) -> Connection | None:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


def credentials(conn_id: str | None) -> Credentials:
    """Plain values of a connection; empty ones for a destination that needs no secrets."""
    return Credentials() if conn_id is None else plain_values(connection(conn_id))


def destination_credentials(conn_id: str | None) -> Credentials:
    """Plain values of a destination's connection, and what seals states of unfinished uploads."""
    from airflow.configuration import conf

    # What lies in Airflow's database is as secret as this key; where workers have none, nothing is sealed.
    key = conf.get("core", "fernet_key", fallback="")
    return dataclasses.replace(credentials(conn_id), sealing_key=key or None)


def plain_values(found: Connection) -> Credentials:
    """Plain values of a connection, as the library takes them."""
    return Credentials(
        login=found.login, password=found.password, host=found.host, port=found.port, extra=found.extra_dejson
    )


def database_url(found: Connection) -> str:
    """URL of a database without login and password; a relative SQLite file lies under OUTFEED_HOME.

    Raises:
        TerminalError: for a kind of connection that is no database of ours.
    """
    scheme = _DRIVERS.get(found.conn_type or "")
    if scheme == "sqlite":
        return f"sqlite:///{home() / (found.host or '')}"
    if scheme is None:
        raise TerminalError(
            f"the Airflow connection {found.conn_id!r} is of type {found.conn_type!r}, not a database",
            action=Action.OPERATOR,
            remedy=_database_remedy(found),
        )
    port = f":{found.port}" if found.port else ""
    # Objects, as MySQL's `ssl`, reach the source with the credentials.
    options = {
        key: value
        for key, value in found.extra_dejson.items()
        if key.startswith("ssl") and not isinstance(value, dict)
    }
    query = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{found.host}{port}/{quote(found.schema or '')}{query}"


def _database_remedy(found: Connection) -> str:
    wanted = "make it a connection of type postgres, mysql, mariadb, oracle or sqlite"
    if found.conn_type != "generic":
        return wanted
    # What the command does with a type whose provider is not installed, whatever was asked for.
    return (
        f"{wanted}: delete it and add it with `airflow connections add {found.conn_id} --conn-uri …` or "
        "--conn-json; with --conn-type Airflow stores 'generic' for all of these but postgres"
    )


def open_source(config: CustomerConfig, dataset: str) -> Source:
    """The source of a dataset, with the login of the customer's source connection."""
    from outfeed.sources import open_source as opened

    found = connection(config.source.connection)
    return opened(
        dataset,
        database_url(found),
        credentials(config.source.connection),
        max_parallel=config.source.max_parallel,
    )


@contextmanager
def ledger() -> Iterator[Ledger]:
    """The ledger, closed afterwards. The URL holds the password and never leaves this function."""
    from outfeed.ledger import Ledger

    opened = Ledger(ledger_url_of(_find_connection(LEDGER_CONNECTION)))
    try:
        yield opened
    finally:
        opened.close()


def ledger_url_of(found: Connection | None) -> str:
    """The ledger's URL, with its password: that of its connection, or without one the library's own."""
    if found is None:
        return ledger_url()
    url = database_url(found)
    if url.startswith("sqlite"):
        return url
    login = quote(found.login or "", safe="")
    password = quote(found.password or "", safe="")
    return url.replace("postgresql://", f"postgresql+psycopg://{login}:{password}@", 1)


def staging_root() -> UPath:
    """Where all runs stage: OUTFEED_STAGING_URI (`s3://connection@bucket/folder`), or under OUTFEED_HOME."""
    return storage_path(os.environ.get("OUTFEED_STAGING_URI") or "staging")


def storage_path(uri: str) -> UPath:
    """Any object storage path; a relative one lies under OUTFEED_HOME.

    Raises:
        TerminalError: it names a connection that is not defined.
    """
    if "://" not in uri or uri.startswith("file://"):
        # Airflow's class would load every cloud's SDK: a second of processor time in each task, for a folder.
        from upath import UPath

        return UPath(home() / uri if "://" not in uri else uri, protocol="file")
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(uri)
    if path.conn_id is not None:
        # The store would go on without a login, and be refused with an answer that misleads.
        connection(path.conn_id)
    return path


def images_root(config: CustomerConfig) -> Any | None:
    """Root of the customer's image store, or None if it has none."""
    uri = config.source.images_uri
    return None if uri is None else storage_path(uri)
