"""A second process that reads ranges of the same state of a SQLite file, because one core is not enough.

A process, because SQLite's own locks let two threads of one wait for each other most of the time. A plain
child, because a task may itself be a daemonic process, which multiprocessing forbids to have children.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, BinaryIO

from outfeed.errors import Action, OutfeedError, TransientError
from outfeed.sources.sqlite_lines import Range
from outfeed.sources.tables import TableCopy

#: Files below are read as fast by one process.
WORTH_TWO = 64 << 20

#: How often both may miss the same state, because somebody commits in between.
_ATTEMPTS = 10
_BUSY_TIMEOUT = 10.0
_PROGRAM = "outfeed.sources.sqlite_child"


def connect(path: Path) -> sqlite3.Connection:
    """A connection that can't write; begin a transaction to keep to one state."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
        # One thread at a time.
        check_same_thread=False,
    )


def begin(connection: sqlite3.Connection) -> None:
    """Begins a transaction that shows what is committed now: it would else when it first reads."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


@contextmanager
def second_reader(path: Path, connection: sqlite3.Connection) -> Iterator[SqliteWorker | None]:
    """Guarantees that both see the same state, or gives None (VI-019).

    Args:
        connection: begins anew; it must not have read anything yet.
    """
    with SqliteWorker.started(path) as worker:
        if _met(worker, path, connection):
            yield worker
            return
    begin(connection)
    yield None


def _met(worker: SqliteWorker, path: Path, connection: sqlite3.Connection) -> bool:
    """Whether both began with the same state."""
    with closing(connect(path)) as watcher:
        for _ in range(_ATTEMPTS):
            before = _version(watcher)
            worker.begin()
            try:
                begin(connection)
                if _version(watcher) == before:
                    return True
            except sqlite3.OperationalError:
                # Without WAL, whoever wants to commit lets nobody in, and waits for the second process.
                return False
    return False


def _version(connection: sqlite3.Connection) -> int:
    """A number that another one follows when anybody has committed."""
    ((version,),) = connection.execute("PRAGMA data_version").fetchall()
    return int(version)


class SqliteWorker:
    """The parent's end of the second process."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection) -> None:
        self._process = process
        self._connection = connection

    @classmethod
    @contextmanager
    def started(cls, path: Path) -> Iterator[SqliteWorker]:
        """Starts the process; nothing is left of it afterwards."""
        ours, theirs = Pipe()
        with ours, theirs:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", _PROGRAM, str(theirs.fileno()), str(path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
            # Or else its end would not be noticed.
            theirs.close()
            worker = cls(process, ours)
            try:
                yield worker
            finally:
                worker.stop()

    @property
    def alive(self) -> bool:
        """Whether it can be asked for more."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends the process, whatever it is doing, and its transaction."""
        self._process.kill()
        self._process.wait()

    def begin(self) -> None:
        """Begins a transaction.

        Raises:
            OutfeedError: the process can't read the file, or died.
        """
        self._ask(None)
        self._answer()

    def copy(self, copy: TableCopy, rows: Range, stream: BinaryIO) -> int:
        """Writes the lines of a range; returns their number.

        Raises:
            OutfeedError: the process can't read them, or died.
        """
        self._ask((copy, rows))
        try:
            while block := self._block():
                stream.write(block)
        except BaseException:
            # The rest would be taken for the next table's.
            self.stop()
            raise
        return int(self._answer())

    def _ask(self, request: Any) -> None:
        with self._alive():
            self._connection.send(request)

    def _block(self) -> bytes:
        with self._alive():
            return self._connection.recv_bytes()

    def _answer(self) -> Any:
        with self._alive():
            answer = self._connection.recv()
        if isinstance(answer, OutfeedError):
            raise answer
        return answer

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            raise TransientError(
                f"a process that reads SQLite ended with code {self._process.wait()}",
                action=Action.OPERATOR,
                remedy="see the task's log; if the code is -9, the worker host is short of memory",
            ) from None
