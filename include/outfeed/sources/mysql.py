"""MariaDB and MySQL as sources of tables."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outfeed.errors import Action, TerminalError
from outfeed.sources.mysql_errors import explained
from outfeed.sources.server import Server
from outfeed.sources.tables import TableEngine, TableSnapshot

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials

_PORT = 3306
_CONNECT_TIMEOUT = 15
#: A statement may sort for long before its first row.
_READ_TIMEOUT = 7260
#: A server that vanished is noticed in about a minute instead.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

#: What `ssl_mode` may be, and what it means to the driver.
_SSL_MODES: dict[str, dict[str, Any]] = {
    "DISABLED": {"ssl_disabled": True},
    "PREFERRED": {},
    "REQUIRED": {"ssl": {"verify_mode": "none", "check_hostname": False}},
    "VERIFY_CA": {"ssl_verify_cert": True},
    "VERIFY_IDENTITY": {"ssl_verify_cert": True, "ssl_verify_identity": True},
}
_SSL_FILES = {"ca": "ssl_ca", "cert": "ssl_cert", "key": "ssl_key"}


class MysqlEngine(TableEngine):
    """A server; the URL is `mysql://host:port/database` or `mariadb://…`, login and password are credentials.

    TLS comes from the connection's extra: `ssl_mode` (as the servers' own clients spell it), and `ssl` with
    the paths `ca`, `cert` and `key`. A certificate authority without a mode means VERIFY_IDENTITY. With
    neither, TLS is used if the server has it, and its certificate is not checked.
    """

    def __init__(self, url: str, credentials: Credentials, max_parallel: int) -> None:
        self.server = Server(url, credentials, _PORT)

    @contextmanager
    def tables(self) -> Iterator[TableSnapshot]:
        """See the base class."""
        from outfeed.sources.mysql_tables import MysqlTables

        connection = self._connect()
        try:
            yield MysqlTables(connection, self.server)
        finally:
            # Whatever is still on its way is not waited for.
            connection._force_close()

    def _connect(self) -> Any:
        import pymysql

        options = self._tls()
        with explained(self.server):
            connection: Any = pymysql.connect(
                host=self.server.host,
                port=self.server.port,
                database=self.server.database or None,
                user=self.server.login,
                password=self.server.password,
                charset="utf8mb4",
                # Values as the server writes them.
                conv={},
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
                program_name="outfeed",
                autocommit=True,
                **options,
            )
        for option, value in _KEEPALIVE.items():
            connection._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return connection

    def _tls(self) -> dict[str, Any]:
        extra = {**self.server.credentials.extra, **self.server.options}
        files = self._files(extra.get("ssl"))
        options = {_SSL_FILES[name]: path for name, path in files.items()}
        options |= {name: extra[name] for name in _SSL_FILES.values() if name in extra}
        mode = extra.get("ssl_mode") or ("VERIFY_IDENTITY" if "ssl_ca" in options else "PREFERRED")
        if str(mode).upper() not in _SSL_MODES:
            raise self._misconfigured(f"ssl_mode is not one of {', '.join(_SSL_MODES)}")
        missing = [path for path in options.values() if not Path(path).is_file()]
        if missing:
            raise self._misconfigured(f"there is no file {missing[0]}")
        return {**options, **_SSL_MODES[str(mode).upper()]}

    def _files(self, ssl: Any) -> dict[str, str]:
        """Airflow's `ssl`: an object, or its JSON as text."""
        try:
            files = json.loads(ssl) if isinstance(ssl, str) else ssl or {}
            return {name: str(files[name]) for name in files if name in _SSL_FILES}
        except (ValueError, TypeError):
            raise self._misconfigured("ssl is no object with ca, cert and key") from None

    def _misconfigured(self, what: str) -> TerminalError:
        return TerminalError(
            what,
            where=self.server.where,
            action=Action.OPERATOR,
            remedy="correct the extra of the source's Airflow connection",
        )
