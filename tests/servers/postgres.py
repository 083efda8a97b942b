"""PostgreSQL from Debian's binaries, without fsync because its data never outlives a test run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.servers.process import (
    binary,
    free_ports,
    run_as,
    running,
    scratch,
    service_account,
    until_let_in,
)

INSTALL = "apt-get install -y postgresql"


@dataclasses.dataclass(frozen=True)
class PostgresServer:
    """A running server; its superuser is `outfeed`.

    Attributes:
        dsn: URL of the database `outfeed`, as libpq and psycopg read it.
    """

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def dsn(self) -> str:
        """`postgresql://…` of the default database."""
        return self.url(self.database)

    def url(self, database: str) -> str:
        """`postgresql://…` of any database of this server."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Creates an empty database, dropping one of the same name; returns its URL."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new PostgreSQL on a free port, gone with its data afterwards."""
    import psycopg

    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb = binary("initdb", INSTALL, *folders)
    postgres = binary("postgres", INSTALL, *folders)
    account = service_account("postgres", INSTALL)
    (port,) = free_ports(1)
    with scratch("postgres", root_owned=True) as folder:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _initialise(initdb, folder, account)
        settings = {
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        options = [argument for item in settings.items() for argument in ("-c", "=".join(item))]
        command = [postgres, "-D", str(folder / "data"), *options]
        with running(command, port=port, log=folder / "log", account=account) as process:
            server = PostgresServer("127.0.0.1", port, "outfeed", "outfeed", "outfeed")
            until_let_in(partial(_let_in, server), psycopg.OperationalError)
            server.create_database("outfeed")
            yield server
            process.send_signal(signal.SIGQUIT)
            process.wait(30)


def _initialise(initdb: str, folder: Path, account: pwd.struct_passwd | None) -> None:
    password = folder / "password"
    password.write_text("outfeed")
    login = ["-U", "outfeed", "-A", "scram-sha-256", f"--pwfile={password}"]
    settings = ["-E", "UTF8", "--locale=C.UTF-8", "-N"]
    run_as(account, [initdb, "-D", str(folder / "data"), *login, *settings])


def _let_in(server: PostgresServer) -> None:
    import psycopg

    psycopg.connect(server.url("postgres"), connect_timeout=10).close()
