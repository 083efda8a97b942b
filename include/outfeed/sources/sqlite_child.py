"""The second process that reads SQLite: begins a transaction, or copies ranges, until its parent is gone."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from outfeed.errors import OutfeedError
from outfeed.sources.sqlite_errors import explained
from outfeed.sources.sqlite_lines import LineCopy, Range
from outfeed.sources.sqlite_worker import begin, connect
from outfeed.sources.tables import TableCopy


def main() -> None:
    """Serves the parent at the other end of the pipe that the command line names, for the file it names."""
    parent, path = Connection(int(sys.argv[1])), Path(sys.argv[2])
    with parent, suppress(EOFError, BrokenPipeError), closing(connect(path)) as own:
        while True:
            request: tuple[TableCopy, Range] | None = parent.recv()
            answer: OutfeedError | int
            try:
                with explained(str(path), request and request[0].table):
                    answer = _served(own, request, parent)
            except OutfeedError as error:
                answer = error
            if request is not None:
                parent.send_bytes(b"")
            parent.send(answer)


def _served(own: sqlite3.Connection, request: tuple[TableCopy, Range] | None, parent: Connection) -> int:
    if request is None:
        begin(own)
        return 0
    copy, rows = request
    return LineCopy(own, copy).write(rows, lambda _, block: parent.send_bytes(block))


if __name__ == "__main__":
    main()
