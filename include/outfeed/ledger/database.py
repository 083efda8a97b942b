"""One database, SQLite or PostgreSQL: transactions, schema and failures in Outfeed's words.

Writes are serialised per piece of work: on SQLite by `BEGIN IMMEDIATE` with a busy timeout, on PostgreSQL
by row locks that a frozen process can't hold for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    table,
    text,
)
from sqlalchemy import (
    column as column_,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from outfeed.errors import Action, ConfigError, OutfeedError, TerminalError, TransientError
from outfeed.ledger.tables import SCHEMA_VERSION, VERSION_TABLE

_BUSY_TIMEOUT_SECONDS = 30
#: Any number that no other program of the same database uses.
_MIGRATION_LOCK = 0x6F757466656564

#: What PostgreSQL says, before it has an SQLSTATE to give, when no retry helps.
_REFUSED = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
)
#: SQLSTATEs and their classes that a later try may not meet again: connection, rollback, resources,
#: lock, shutdown. A full disk (53100) is not among them.
_TRANSIENT_STATES = ("08", "40", "53200", "53300", "55P03", "57")


class Database:
    """Gives transactions that end whole or not at all, and errors without the password (XX-06).

    Args:
        url: SQLAlchemy URL: `sqlite:///file`, or `postgresql://…` in any of its spellings.

    Raises:
        ConfigError: for a URL that is neither.
    """

    def __init__(self, url: str) -> None:
        self._url = _normalised(url)
        self.place = _place(self._url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = self._sqlite() if self.is_sqlite else self._postgresql()

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed whole at the end of the block, or not at all."""
        with (
            self._translated(),
            self._engine.connect().execution_options(outfeed_begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def migrate(self) -> None:
        """Brings the schema to `SCHEMA_VERSION`; any number of processes may do so at once."""
        if self.is_sqlite:
            self._create_file(Path(str(self._url.database)))
        with self.read() as connection:
            if _version(connection) == SCHEMA_VERSION:
                return
        with self._one_migration_at_a_time(), self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            self._upgrade(connection)

    def _create_file(self, file: Path) -> None:
        try:
            file.absolute().parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.touch()
        except OSError as error:
            raise TerminalError(
                f"the ledger can't be created: {error.strerror}",
                where=self.place,
                remedy="choose another place with OUTFEED_HOME or OUTFEED_LEDGER_URL, or free this one",
            ) from error

    def _upgrade(self, connection: Connection) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        versions = str(Path(__file__).parent / "migrations")
        config.set_main_option("script_location", versions.replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise TerminalError(
                f"the ledger's schema is version {_version(connection)}, which this Outfeed does not know",
                where=self.place,
                action=Action.OPERATOR,
                remedy=f"install the Outfeed that made it, or a newer one (this one knows {SCHEMA_VERSION})",
            ) from error

    @contextlib.contextmanager
    def _one_migration_at_a_time(self) -> Iterator[None]:
        """For SQLite, a file lock: switching to WAL is not covered by a transaction or the busy timeout."""
        if not self.is_sqlite:
            yield
            return
        import fcntl

        database = str(self._url.database)
        with Path(f"{database}.migration-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            plain = self._engine.execution_options(outfeed_begin="")
            with self._translated(), plain.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            yield

    def _sqlite(self) -> Engine:
        engine = create_engine(self._url, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

        @event.listens_for(engine, "connect")
        def _no_implicit_transactions(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # A transaction that reads first and writes later could fail with "database is locked" at once.
            begin = connection.get_execution_options().get("outfeed_begin", "BEGIN")
            if begin:
                connection.exec_driver_sql(begin)

        return engine

    def _postgresql(self) -> Engine:
        defaults = {
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,
            # A process that hangs with a lock in its hand loses it after a minute; the newer try goes on.
            # A plan kept for any values compares each row with all of 500 paths, one after the other.
            "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
            " -c plan_cache_mode=force_custom_plan",
        }
        arguments = {key: value for key, value in defaults.items() if key not in self._url.query}
        return create_engine(self._url, pool_pre_ping=True, connect_args=arguments)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        # SQLite would create an empty database, and then complain that it is empty.
        if self.is_sqlite and not Path(str(self._url.database)).exists():
            raise TerminalError(
                "there is no ledger here",
                where=self.place,
                remedy="nothing has run yet, or this is the wrong folder: set OUTFEED_HOME to the one of the "
                "runs, or OUTFEED_LEDGER_URL to their ledger",
            )
        try:
            yield
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    def _explained(self, error: SQLAlchemyError) -> OutfeedError:
        """The failure as one that a retry can end, or one that somebody must."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        said = " ".join(str(cause).split()) or type(cause).__name__
        what = f"the ledger's database failed: {said}"
        if _may_pass(error, cause, said):
            return TransientError(
                what, where=self.place, remedy="nothing if it passes; else look at the database"
            )
        if "no such table" in said or getattr(cause, "sqlstate", None) == "42P01":
            remedy = "the next run makes the tables; if something has run, this is another database"
            return TerminalError(what, where=self.place, remedy=remedy)
        return TerminalError(
            what, where=self.place, remedy="check the ledger's URL, its permissions and the free disk space"
        )


def _may_pass(error: SQLAlchemyError, cause: BaseException, said: str) -> bool:
    if not isinstance(error, DBAPIError):
        return "QueuePool limit" in said
    if "database is locked" in said:
        return True
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_TRANSIENT_STATES)
    lost = error.connection_invalidated or "connection" in said.lower()
    return lost and not any(text_ in said for text_ in _REFUSED)


def _normalised(url: str) -> URL:
    """The URL with the drivers that Outfeed installs. The URL itself may hold a password: never shown."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the ledger's URL can't be read",
            action=Action.OPERATOR,
            remedy="write sqlite:////absolute/path/ledger.db or postgresql://user@host/database",
        ) from None
    backend = {"postgres": "postgresql"}.get(parsed.get_backend_name(), parsed.get_backend_name())
    drivers = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
    if backend not in drivers or (backend == "sqlite" and parsed.database in (None, "", ":memory:")):
        raise ConfigError(
            f"the ledger can't live in {parsed.drivername!r}",
            action=Action.OPERATOR,
            remedy="use an SQLite file or PostgreSQL",
        )
    return parsed.set(drivername=drivers[backend])


def _place(url: URL) -> str:
    """Where the database is, without user, password or options."""
    if url.get_backend_name() == "sqlite":
        return f"ledger {url.database}"
    port = f":{url.port}" if url.port else ""
    return f"ledger postgresql://{url.host or 'localhost'}{port}/{url.database or ''}"


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column_("version_num")).select_from(table(VERSION_TABLE)))
