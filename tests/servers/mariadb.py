"""MariaDB from Debian's binaries, without waiting for the disk because its data never outlives a test run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers.process import (
    binary,
    free_ports,
    run_as,
    running,
    scratch,
    service_account,
    until_let_in,
)

INSTALL = "apt-get install -y mariadb-server"
#: Where the server believes to be.
MACHINE_ZONE = "America/New_York"


@dataclasses.dataclass(frozen=True)
class MariadbServer:
    """A running server; its superuser is `root`, without a password."""

    host: str
    port: int
    user: str = "root"
    password: str = ""

    def url(self, database: str) -> str:
        """`mariadb://…` of any database of this server."""
        return f"mariadb://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Creates an empty database, dropping one of the same name; returns its URL."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            cursor.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    @contextlib.contextmanager
    def connect(self, database: str | None = None) -> Iterator[Any]:
        """A connection of the superuser that commits each statement."""
        import pymysql

        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )
        with contextlib.closing(connection):
            yield connection


@contextlib.contextmanager
def mariadb_server() -> Iterator[MariadbServer]:
    """A new MariaDB on a free port, gone with its data afterwards.

    Its own time zone is not UTC, nor is that of the machine as it sees it: nothing can rely on them.
    """
    import pymysql

    mariadbd = binary("mariadbd", INSTALL)
    install_db = binary("mariadb-install-db", INSTALL)
    account = service_account("mysql", INSTALL)
    (port,) = free_ports(1)
    with scratch("mariadb", root_owned=True) as folder:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _initialise(install_db, folder, account)
        settings = {
            "datadir": str(folder / "data"),
            "socket": str(folder / "socket"),
            "pid-file": str(folder / "pid"),
            "port": str(port),
            "bind-address": "127.0.0.1",
            "default-time-zone": "-05:00",
            "innodb-flush-log-at-trx-commit": "0",
            "innodb-buffer-pool-size": "64M",
        }
        command = [mariadbd, "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]
        env = {**os.environ, "TZ": MACHINE_ZONE}
        with running(command, port=port, log=folder / "log", env=env, account=account):
            server = MariadbServer("127.0.0.1", port)
            until_let_in(partial(_let_in, server), pymysql.OperationalError)
            yield server


def _initialise(install_db: str, folder: Path, account: pwd.struct_passwd | None) -> None:
    settings = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    run_as(account, [install_db, "--no-defaults", f"--datadir={folder / 'data'}", *settings])


def _let_in(server: MariadbServer) -> None:
    with server.connect():
        pass
