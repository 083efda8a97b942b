"""PostgreSQL from Debian's binaries, without fsync because its data never outlives a test run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import MissingServerError, binary, free_ports, log_end, scratch

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

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new PostgreSQL on a free port, gone with its data afterwards."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb = binary("initdb", INSTALL, *folders)
    pg_ctl = binary("pg_ctl", INSTALL, *folders)
    (port,) = free_ports(1)
    with scratch("postgres", root_owned=True) as folder:
        as_owner = _as_owner(folder)
        password_file = folder / "password"
        password_file.write_text("outfeed")
        data, log = folder / "data", folder / "log"
        _run(
            [
                *as_owner,
                *[initdb, "-D", str(data), "-U", "outfeed", "-A", "scram-sha-256"],
                *[f"--pwfile={password_file}", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
            ],
            log,
        )
        settings = {
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        _run(
            [
                *as_owner,
                pg_ctl,
                "-D",
                str(data),
                "-l",
                str(folder / "server.log"),
                "-w",
                "-o",
                options,
                "start",
            ],
            log,
        )
        try:
            server = PostgresServer("127.0.0.1", port, "outfeed", "outfeed", "outfeed")
            PostgresServer("127.0.0.1", port, "outfeed", "outfeed", "postgres").create_database("outfeed")
            yield server
        finally:
            _run([*as_owner, pg_ctl, "-D", str(data), "-m", "immediate", "-w", "stop"], log)


def _as_owner(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: hands the folder to user postgres and says how to become it."""
    if os.geteuid() != 0:
        return []
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        raise MissingServerError(f"there is no user postgres; install it with: {INSTALL}") from None
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return [binary("runuser", "apt-get install -y util-linux"), "-u", "postgres", "--"]


def _run(command: list[str], log: Path) -> None:
    with log.open("ab") as output:
        # A file, not a pipe: the server would inherit a pipe and keep it open.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", check=False
        )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{log_end(log)}")
