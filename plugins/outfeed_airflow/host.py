"""The command line on a host with Airflow: its connections, whatever keeps them, and its ledger.

Reads and writes Airflow's database directly, which only a person's command may do, never a task (design §6).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from outfeed.cli.host import SecretPlace
from outfeed.errors import Action, ConfigError, TerminalError
from outfeed_airflow import resolve

if TYPE_CHECKING:
    from airflow.models import Connection

    from outfeed.connectors.base import Credentials

#: A connection that we make holds a key for SFTP.
_CONNECTION_TYPE = "sftp"


class AirflowHost:
    """Connections as Airflow itself finds them: secrets backend, environment, database (see `Host`).

    Args:
        begin: loads Airflow; called when it is first needed, because that takes seconds.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def find(self, conn_id: str) -> Credentials | None:
        """Plain values of a connection, or None if it is not defined."""
        self._begin()
        found = _find(conn_id)
        return None if found is None else resolve.plain_values(found)

    def not_found(self, conn_id: str) -> TerminalError:
        """The error of a connection that is not defined."""
        return resolve.undefined(conn_id)

    def ledger_url(self) -> str:
        """The ledger of the tasks: the connection `outfeed_ledger`, or what `OUTFEED_LEDGER_URL` names."""
        self._begin()
        return resolve.ledger_url_of(_find(resolve.LEDGER_CONNECTION))

    def secret_place(self, conn_id: str) -> SecretPlace:
        """Airflow's database is writable; a secrets backend and the environment are somebody else's."""
        self._begin()
        from airflow.configuration import ensure_secrets_loaded
        from airflow.secrets.metastore import MetastoreBackend

        backends = ensure_secrets_loaded()
        # A connection that does not exist yet belongs where the installation keeps its secrets.
        keeper = next((one for one in backends if one.get_connection(conn_id) is not None), None)
        if keeper is None:
            own = [one for one in backends if not type(one).__module__.startswith("airflow.secrets.")]
            keeper = own[0] if own else backends[-1]
        if isinstance(keeper, MetastoreBackend):
            return SecretPlace("Airflow's database", writable=True)
        return SecretPlace(type(keeper).__name__, writable=False)

    def change_extra(self, conn_id: str, changes: Mapping[str, str | None]) -> None:
        """The connection in Airflow's database has these fields in its extra, encrypted with the Fernet key.

        Raises:
            ConfigError: its extra is no JSON object.
        """
        from airflow.models import Connection
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            stored = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
            if stored is None:
                stored = Connection(conn_id=conn_id, conn_type=_CONNECTION_TYPE)
                session.add(stored)
            changed = {**_extra(stored), **changes}
            kept = {
                name: value for name, value in changed.items() if value is not None or name not in changes
            }
            stored.set_extra(json.dumps(kept))


def _find(conn_id: str) -> Connection | None:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models import Connection

    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return None


def _extra(stored: Connection) -> dict[str, object]:
    try:
        found = json.loads(stored.extra or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(
            "its extra is no JSON object",
            where=f"connection {stored.conn_id}",
            action=Action.OPERATOR,
            remedy="repair the extra in Airflow's UI, then try again",
        )
    return found
