"""A large SQLite file is read by two processes: they see one state, and the files are those of one."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from outfeed.connectors.base import Credentials
from outfeed.errors import TerminalError, TransientError
from outfeed.sources import sqlite_ranges, sqlite_worker
from outfeed.sources.base import Reader
from outfeed.sources.relational import RelationalSource
from outfeed.sources.sqlite_lines import Range
from outfeed.sources.sqlite_worker import SqliteWorker
from outfeed.sources.tables import TableCopy
from tests.flow.table_platform import Read, make_part

ROWS = 3000


@pytest.fixture(autouse=True)
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_worker, "WORTH_TWO", 0)
    monkeypatch.setattr(sqlite_ranges, "_WORTH_SPLITTING", 100)


@pytest.fixture(params=["wal", "delete"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database with either journal."""
    return filled(tmp_path, request.param)


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    """A database that others may write to while we read."""
    return filled(tmp_path, "wal")


def filled(folder: Path, journal: str) -> Path:
    found = folder / "large.db"
    with closing(sqlite3.connect(found, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, txt TEXT)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, f'"{n}", é\n') for n in range(ROWS)))
        connection.execute("COMMIT")
    return found


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def source(path: Path, processes: int) -> RelationalSource:
    return RelationalSource(f"sqlite:///{path}", Credentials(), max_parallel=processes)


def read(path: Path, processes: int) -> Read:
    with source(path, processes).reading() as reader:
        return extract(reader, path.parent / f"by-{processes}")


def extract(reader: Reader, folder: Path) -> Read:
    """Segments are opened in any order: their names tell which comes first."""
    folder.mkdir(exist_ok=True)

    def opened(name: str) -> tuple[str, BinaryIO]:
        return str(folder / name), (folder / name).open("wb")

    extracted = reader.extract(make_part(), opened, lambda _rows, _bytes: None)
    return Read(extracted, b"".join(Path(each).read_bytes() for each in extracted.segments))


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the second process gave each time."""
    given: list[int] = []
    copy = SqliteWorker.copy

    def counted(self: SqliteWorker, *arguments: Any) -> int:
        given.append(copy(self, *arguments))
        return given[-1]

    monkeypatch.setattr(SqliteWorker, "copy", counted)
    return given


def test_two_processes_write_what_one_writes(path: Path, workers: list[int]) -> None:
    # VI-019 D37
    one = read(path, 1)
    assert workers == []
    two = read(path, 2)
    assert sum(workers) > 0, "the second one helped"
    assert two.content == one.content
    assert [Path(each).stat().st_size for each in two.extracted.segments] == [
        Path(each).stat().st_size for each in one.extracted.segments
    ]
    assert two.extracted.rows == one.extracted.rows == ROWS
    assert [row[0] for row in two.rows] == [str(number) for number in range(ROWS)]


def test_rows_committed_after_the_begin_are_seen_by_neither(wal: Path, workers: list[int]) -> None:
    # VI-019
    with source(wal, 2).reading() as reader:
        first = extract(reader, wal.parent / "first")
        execute(wal, "UPDATE t SET txt = 'after'")
        second = extract(reader, wal.parent / "second")
    assert sum(workers) > 0
    assert b"after" not in first.content
    assert first.content == second.content


def test_a_commit_between_both_begins_is_noticed(
    wal: Path, workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-019
    begin = SqliteWorker.begin
    begun: list[int] = []

    def begin_and_commit(self: SqliteWorker) -> None:
        begin(self)
        begun.append(len(begun))
        if len(begun) < 3:
            execute(wal, f"UPDATE t SET txt = 'commit {len(begun)}'")

    monkeypatch.setattr(SqliteWorker, "begin", begin_and_commit)
    found = read(wal, 2)
    assert len(begun) == 3
    assert sum(workers) > 0
    assert {row[1] for row in found.rows} == {"commit 2"}


def test_who_never_meets_the_same_state_reads_alone(
    wal: Path, workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-019
    begin = SqliteWorker.begin

    def begin_and_commit(self: SqliteWorker) -> None:
        begin(self)
        execute(wal, "UPDATE t SET txt = txt || '.'")

    monkeypatch.setattr(SqliteWorker, "begin", begin_and_commit)
    found = read(wal, 2)
    assert workers == []
    assert len({(row[1] or "").count(".") for row in found.rows}) == 1, "one state"
    assert found.extracted.rows == ROWS


def test_whoever_commits_without_wal_does_not_wait_for_long(
    tmp_path: Path, workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-019
    """The commit waits for the second process, which began before, and keeps the first one out."""
    path = filled(tmp_path, "delete")
    monkeypatch.setattr(sqlite_worker, "_BUSY_TIMEOUT", 0.2)
    begin = SqliteWorker.begin

    def begin_and_commit(self: SqliteWorker) -> None:
        begin(self)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET txt = 'after'")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("COMMIT")

    def killed(self: SqliteWorker) -> None:
        kill(self)
        writer.execute("COMMIT")

    kill = SqliteWorker.stop
    monkeypatch.setattr(SqliteWorker, "begin", begin_and_commit)
    monkeypatch.setattr(SqliteWorker, "stop", killed)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        found = read(path, 2)
    assert workers == []
    assert {row[1] for row in found.rows} == {"after"}


def test_a_second_process_that_dies_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = SqliteWorker.copy

    def killed(self: SqliteWorker, *arguments: Any) -> int:
        os.kill(self._process.pid, signal.SIGKILL)
        return copy(self, *arguments)

    monkeypatch.setattr(SqliteWorker, "copy", killed)
    with pytest.raises(TransientError, match="ended with code -9"):
        read(path, 2)


def test_what_the_second_process_finds_wrong_is_said_without_the_data(path: Path) -> None:
    # XX-06
    execute(path, f"UPDATE t SET txt = CAST(x'70726976617465ff' AS TEXT) WHERE id = {ROWS - 1}")
    with pytest.raises(TerminalError, match="t: ") as caught:
        read(path, 2)
    assert "private" not in str(caught.value)


def test_a_segment_that_cannot_be_written_harms_no_other_table(
    wal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = SqliteWorker.copy

    def into_full(self: SqliteWorker, wanted: TableCopy, rows: Range, _stream: BinaryIO) -> int:
        return copy(self, wanted, rows, Full())

    with source(wal, 2).reading() as reader:
        monkeypatch.setattr(SqliteWorker, "copy", into_full)
        with pytest.raises(OSError, match="no space"):
            extract(reader, wal.parent / "first")
        found = extract(reader, wal.parent / "second")
    assert found.content == read(wal, 1).content


class Full(io.BytesIO):
    """A disk that is full."""

    def write(self, block: Any) -> int:
        raise OSError("no space")


def test_nothing_is_left_of_the_second_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SqliteWorker] = []
    begin = SqliteWorker.begin

    def noted(self: SqliteWorker) -> None:
        seen.append(self)
        begin(self)

    monkeypatch.setattr(SqliteWorker, "begin", noted)
    read(path, 2)
    assert [worker._process.poll() is not None for worker in seen] == [True]
