"""Tables from PostgreSQL as CSV: our extract against the server's own COPY to a file; and what follows it.

Interleaved, each side in a process of its own; all write to the same disk, nothing is synced while a clock
runs.
"""

from __future__ import annotations

import filecmp
import gzip
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import Report, Row, arguments, emit, environment, ratios, row
from benchmarks.tables_data import filled, filled_sqlite
from benchmarks.tables_sides import TABLE, run_side
from tests.servers import process
from tests.servers.postgres import PostgresServer, postgres_server

LARGE, SMALL, SQLITE = 5_000_000, 500_000, 1_000_000
ROUNDS = 3

Samples = dict[str, list[dict[str, Any]]]

_ALL_COLUMNS = (
    "id, account_id, {title}, {note}, {city}, amount, ratio, active::int,"
    " to_char(created AT TIME ZONE 'UTC', 'DD/MM/YYYY HH24:MI:SS'),"
    " to_char(changed, 'DD/MM/YYYY HH24:MI:SS'), day, reference"
)
#: What a plain export of SQLite asks for, in the words of its own command line.
SQLITE_QUERY = (
    "SELECT id, account_id, title, note, city, amount, ratio, active,"
    " substr(created, 1, 10) || 'T' || substr(created, 12, 8) || '+0000',"
    " substr(changed, 1, 10) || 'T' || substr(changed, 12, 8) || '+0000', day, reference"
    f" FROM {TABLE}"
)
#: What all options mean, in the words of the database's manual instead of ours.
ALL_QUERY = (
    "SELECT "
    + _ALL_COLUMNS.format(
        **{
            name: f"regexp_replace({name}, E'\\r\\n|\\n|\\r', ' ', 'g') AS {name}"
            for name in ("title", "note", "city")
        }
    )
    + f" FROM {TABLE}"
)
ALL_OPTIONS = ", DELIMITER ';', ESCAPE '\\', FORCE_QUOTE (title, note, city, reference)"


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    found = environment(
        "asyncpg", "isal", "pyarrow", "duckdb",
        PostgreSQL="Debian's, fsync off, parallel query and JIT off",
    )  # fmt: skip
    large, small, lite, rounds = (20_000, 20_000, 20_000, 1) if quick else (LARGE, SMALL, SQLITE, ROUNDS)
    with postgres_server() as server, scratch() as folder:
        rows = [
            *small_rows(server, small, folder),
            *large_rows(server, large, rounds, folder),
            *sqlite_rows(server, lite, rounds, folder),
        ]
    emit(
        Report(
            name="tables",
            title="Tables: from the database to files",
            environment=found,
            rows=tuple(rows),
            notes=(
                "Twelve columns of mixed types, with commas, quotes, LF, CRLF, non-ASCII, NULL and '', about "
                "215 bytes a row. Ours reads by two connections in ranges of one snapshot, over TCP, and "
                "stages on the disk that the server's COPY writes to. The plain file was byte for byte the "
                "server's in each round; CRLF and all options were compared at the small size.",
                "`same query` formats dates and booleans as we do by default; `bare table` has PostgreSQL's "
                "own texts. All options: separator, backslash escape, breaks replaced, date format, text "
                "quoted, CRLF, gzip, and the md5 of the gzip file in a second pass.",
                "SQLite's command line writes the same values in its own way: it encloses whatever has "
                "a space or a letter beyond ASCII, rounds floats to 15 digits, and leaves zeros away.",
                "Memory is the peak of a fresh process (VmHWM), imports included.",
            ),
        )
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that the database's account may write to, too."""
    with process.scratch("bench") as made:
        made.chmod(0o777)
        yield made


@contextmanager
def staged(folder: Path, url: str, export: str, **more: Any) -> Iterator[tuple[dict[str, Any], Path]]:
    """An export by us: what was measured, and where it lies until the block ends."""
    staging = folder / f"staging-{export}"
    try:
        yield run_side("extract", url=url, export=export, folder=str(staging), **more), staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def small_rows(server: PostgresServer, rows: int, folder: Path) -> list[Row]:
    """Memory; and the bytes, compared with what the database itself writes."""
    url = filled(server, rows)
    file, kilo = folder / "server.csv", f"{rows // 1000}k rows"
    memory = []
    with staged(folder, url, "plain") as (plain, staging):
        query = run_side("same_query", columns=plain["columns"])["query"]
        run_side("server_copy", url=url, query=query, options="", file=str(file))
        require_same(joined(staging, plain), file)
        memory.append(row(f"peak memory, plain, {kilo}", plain["megabytes"], "MB", "<= 64"))
    with staged(folder, url, "crlf") as (crlf, staging):
        require_crlf(file, joined(staging, crlf))
        memory.append(row(f"peak memory, CRLF, {kilo}", crlf["megabytes"], "MB", "<= 64"))
    file.unlink()
    with staged(folder, url, "all") as (every, staging):
        run_side("server_copy", url=url, query=ALL_QUERY, options=ALL_OPTIONS, file=str(file))
        with gzip.open(joined(staging, every)) as stream:
            ours = stream.read()
        assert ours == file.read_bytes().replace(b"\n", b"\r\n"), "all options: other bytes"
        memory.append(row(f"peak memory, all options, {kilo}", every["megabytes"], "MB", "<= 64"))
    file.unlink()
    return memory


def joined(staging: Path, extracted: dict[str, Any]) -> Path:
    """The staged segments as one file."""
    whole = staging / "whole"
    with whole.open("wb") as out:
        for segment in extracted["segments"]:
            with (staging / segment).open("rb") as stream:
                shutil.copyfileobj(stream, out, 1 << 20)
    return whole


def require_same(ours: Path, theirs: Path) -> None:
    """Byte for byte."""
    if not filecmp.cmp(ours, theirs, shallow=False):
        raise SystemExit("the export holds other bytes than the server's COPY")


def require_crlf(server: Path, ours: Path) -> None:
    """Only the ends of rows differ: a line feed behind an odd number of quotes is within a value."""
    inside = False
    with server.open("rb") as lines, ours.open("rb") as others:
        for line, other in zip(lines, others, strict=True):
            inside ^= line.count(b'"') % 2 == 1
            assert other == (line if inside else line[:-1] + b"\r\n"), "CRLF: other bytes"


def large_rows(server: PostgresServer, rows: int, rounds: int, folder: Path) -> list[Row]:
    """Interleaved rounds on the large table; then what else becomes of it, once."""
    url = filled(server, rows)
    size = f"{rows / 1e6:g}M rows"
    samples: Samples = defaultdict(list)
    for _ in range(rounds):
        large_round(url, folder, samples)
    once = single_runs(url, folder)
    seconds = {name: [one["seconds"] for one in taken] for name, taken in samples.items()}
    megabytes = {name: [one["megabytes"] for one in taken] for name, taken in samples.items()}
    copied, bare = seconds["same query"], seconds["bare table"]
    every = seconds["all"]
    return [
        row(f"server COPY to file, bare table, {size}", bare, "s"),
        row(f"server COPY to file, same query, {size}", copied, "s"),
        row(f"ours, plain, {size}", seconds["plain"], "s"),
        row(f"ours, CRLF, {size}", seconds["crlf"], "s"),
        row(f"ours, all options + gzip + md5, {size}", every, "s"),
        row("of it the md5", [one["hashing"] for one in samples["all"]], "s"),
        row("plain file", samples["plain"][0]["bytes"] / 1e6, "MB"),
        row("ours, plain / server COPY, same query", ratios(seconds["plain"], copied), "×", "<= 0.85"),
        row("ours, plain / server COPY, bare table", ratios(seconds["plain"], bare), "×"),
        row("ours, CRLF / server COPY, same query", ratios(seconds["crlf"], copied), "×"),
        row("ours, all options + gzip + md5 / server COPY, same query", ratios(every, copied), "×", "<= 1.3"),
        row("ours, all options + gzip + md5 / server COPY, bare table", ratios(every, bare), "×"),
        row(f"peak memory, plain, {size}", megabytes["plain"], "MB", "<= 64"),
        row(f"peak memory, CRLF, {size}", megabytes["crlf"], "MB", "<= 64"),
        row(f"peak memory, all options + gzip, {size}", megabytes["all"], "MB", "<= 64"),
        *once,
    ]


def large_round(url: str, folder: Path, samples: Samples) -> None:
    """Each side once."""
    file = folder / "server.csv"
    with staged(folder, url, "plain") as (plain, staging):
        samples["plain"].append(plain)
        query = run_side("same_query", columns=plain["columns"])["query"]
        copied = run_side("server_copy", url=url, query=query, options="", file=str(file))
        samples["same query"].append(copied)
        require_same(joined(staging, plain), file)
    file.unlink()
    with staged(folder, url, "crlf") as (crlf, _):
        samples["crlf"].append(crlf)
    bare = run_side("server_copy", url=url, query=f"SELECT * FROM {TABLE}", options="", file=str(file))
    samples["bare table"].append(bare)
    file.unlink()
    with staged(folder, url, "all", md5=True) as (every, _):
        samples["all"].append(every)


def sqlite_rows(server: PostgresServer, rows: int, rounds: int, folder: Path) -> list[Row]:
    """Interleaved rounds on a SQLite file."""
    path, file = folder / "media.db", folder / "cli.csv"
    filled_sqlite(filled(server, rows), path)
    ours, theirs = [], []
    for _ in range(rounds):
        with staged(folder, f"sqlite:///{path}", "crlf") as (extracted, _):
            ours.append(extracted)
        theirs.append(run_side("sqlite_cli", path=str(path), query=SQLITE_QUERY, file=str(file))["seconds"])
        file.unlink()
    path.unlink()
    seconds, size = [one["seconds"] for one in ours], f"{rows / 1e6:g}M rows"
    return [
        row(f"SQLite's command line, {size}", theirs, "s"),
        row(f"ours from SQLite, {size}", seconds, "s"),
        row("ours / SQLite's command line", ratios(seconds, theirs), "×", "<= 1.3"),
        row(f"peak memory, from SQLite, {size}", [one["megabytes"] for one in ours], "MB", "<= 64"),
        row("peak memory of the second process", [one["helper_megabytes"] for one in ours], "MB"),
    ]


def single_runs(url: str, folder: Path) -> list[Row]:
    """Validation and Parquet of the large table, each once."""
    file = folder / "server.csv"
    found = []
    for export, name in (("crlf", "CRLF"), ("all", "all options, gzip")):
        with staged(folder, url, export) as (extracted, staging):
            checked = run_side("validate", folder=str(staging), export=export, extracted=extracted)
        found += [
            row(f"validate, {name}: pyarrow, sha256 and md5", checked["seconds"], "s"),
            row(f"validate, {name}: rate", extracted["bytes"] / 1e6 / checked["seconds"], "MB/s"),
            row(f"validate / extract, {name}", checked["seconds"] / extracted["seconds"], "×", "<= 0.6"),
            row(f"validate, {name}: peak memory", checked["megabytes"], "MB", "<= 188"),
        ]
    with staged(folder, url, "parquet") as (parquet, _):
        pass
    run_side("server_copy", url=url, query=f"SELECT * FROM {TABLE}", options="", file=str(file))
    duck = run_side("duckdb_parquet", csv=str(file), file=str(folder / "duck.parquet"))
    file.unlink()
    (folder / "duck.parquet").unlink()
    return [
        *found,
        row("Parquet from the database, ours", parquet["seconds"], "s"),
        row("Parquet from the database, ours: peak memory", parquet["megabytes"], "MB"),
        row("Parquet from the database, ours: file", parquet["bytes"] / 1e6, "MB"),
        row("Parquet from a CSV that is there, DuckDB's COPY", duck["seconds"], "s"),
        row("Parquet from a CSV that is there, DuckDB: peak memory", duck["megabytes"], "MB"),
        row("Parquet from a CSV that is there, DuckDB: file", duck["bytes"] / 1e6, "MB"),
    ]


if __name__ == "__main__":
    main()
