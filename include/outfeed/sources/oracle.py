"""Oracle as a source of tables. Never run against a server: none could be had (docs/decisions.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from outfeed.sources.oracle_errors import explained
from outfeed.sources.server import Server
from outfeed.sources.tables import TableEngine, TableSnapshot

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials

_PORT = 1521
_CONNECT_TIMEOUT = 15.0
#: Minutes between probes: a server that vanished is noticed.
_EXPIRE_TIME = 1
#: Milliseconds that the server may take for one answer.
_CALL_TIMEOUT = 7_200_000

#: What the connection's extra may say to the driver.
_OPTIONS = ("service_name", "sid", "protocol", "wallet_location", "wallet_password", "ssl_server_dn_match")


class OracleEngine(TableEngine):
    """A server; the URL is `oracle://host:port/service`, login and password are credentials."""

    def __init__(self, url: str, credentials: Credentials, max_parallel: int) -> None:
        self.server = Server(url, credentials, _PORT)

    @contextmanager
    def tables(self) -> Iterator[TableSnapshot]:
        """See the base class."""
        import oracledb

        from outfeed.sources.oracle_tables import OracleTables

        with explained(self.server):
            connection: Any = oracledb.connect(**self._options())
        try:
            connection.call_timeout = _CALL_TIMEOUT
            yield OracleTables(connection, self.server)
        finally:
            with suppress(oracledb.Error):
                connection.close()

    def _options(self) -> dict[str, Any]:
        extra = {name: value for name, value in self.server.credentials.extra.items() if name in _OPTIONS}
        if "sid" not in extra and self.server.database:
            extra.setdefault("service_name", self.server.database)
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": self.server.login,
            "password": self.server.password,
            "tcp_connect_timeout": _CONNECT_TIMEOUT,
            "expire_time": _EXPIRE_TIME,
            "program": "outfeed",
            **extra,
        }
