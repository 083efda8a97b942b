"""One side of the comparison of tables, in a process of its own: `python -m benchmarks.tables_sides JSON`.

The last line of its output is JSON: seconds of the work alone, the peaks of memory of the process and of its
largest child, and what else the side tells. Each side imports only what it needs: its memory is measured.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TABLE = "media"

#: Options of the customer's YAML by name of the measurement, with the compression and the format.
EXPORTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "plain": ({"csv_include_header": False, "csv_line_end": "lf"}, "none", "csv"),
    # Close to how databases, and so other tools, write dates.
    "spaced": (
        {"csv_include_header": False, "csv_line_end": "lf", "csv_date_format": "yyyy-MM-dd HH:mm:ss"},
        "none",
        "csv",
    ),
    "crlf": ({"csv_include_header": False}, "none", "csv"),
    "all": (
        {
            "csv_include_header": False,
            "csv_field_separator": ";",
            "csv_escape_char": "\\",
            "csv_text_row_separator": " ",
            "csv_date_format": "dd/MM/yyyy HH:mm:ss",
            "csv_quote": "text",
        },
        "gzip",
        "csv",
    ),
    "parquet": ({}, "none", "parquet"),
}


def run_side(side: str, **arguments: Any) -> dict[str, Any]:
    """What a side measured in a fresh process; `wall` is all of that process's time.

    Raises:
        RuntimeError: it failed.
    """
    os.sync()
    command = [sys.executable, "-m", "benchmarks.tables_sides", json.dumps({"side": side, **arguments})]
    root = Path(__file__).resolve().parents[1]
    paths = {**os.environ, "PYTHONPATH": f"{root}:{root / 'include'}"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=paths, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{side} {arguments} failed:\n{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": wall}


def peak_megabytes() -> float:
    """The most memory that this program has held; `getrusage` would count the parent's before it began."""
    (found,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found) / 1024


def extract(url: str, export: str, folder: str, md5: bool = False) -> dict[str, Any]:
    """The table as our task reads it, into staging on the local disk."""
    import datetime as dt
    import hashlib

    from upath import UPath

    from outfeed.config.csv_options import CsvOptions
    from outfeed.connectors.base import Credentials
    from outfeed.formats.compression import Compression
    from outfeed.plan import Part, TableRead
    from outfeed.sources import open_source
    from outfeed.staging import Staging

    options, compression, format_ = EXPORTS[export]
    day = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    part = Part(
        key=f"snapshot/{TABLE}",
        dataset="platform-data",
        mode="snapshot",
        subject=TABLE,
        start=day,
        end=day + dt.timedelta(days=1),
        stems={},
        extension=".csv",
        media_type="text/csv",
        compression=Compression(compression),
        table=TableRead(
            table=TABLE,
            key=("id",),
            clock=(),
            columns=(),
            never=(),
            csv=CsvOptions.model_validate(options),
            format="parquet" if format_ == "parquet" else "csv",
        ),
    )
    staging = Staging(UPath(folder), "1")
    started = time.perf_counter()
    with open_source("platform-data", url, Credentials(), 2).reading() as reader:
        extracted = reader.extract(
            part, lambda name: staging.open_write("extract", part.key, name), lambda _rows, _bytes: None
        )
    read = time.perf_counter()
    if md5:
        digest = hashlib.md5(usedforsecurity=False)
        with staging.open_chain(extracted.segments) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return {
        "seconds": time.perf_counter() - started,
        "hashing": time.perf_counter() - read,
        "rows": extracted.rows,
        "bytes": extracted.bytes,
        "segments": list(extracted.segments),
        "columns": [[each.name, each.kind, each.precision, each.scale] for each in extracted.columns],
    }


def validate(folder: str, export: str, extracted: Mapping[str, Any]) -> dict[str, Any]:
    """What the step validate does to a staged table: parsed by pyarrow, sha256 and md5, all in one pass."""
    from upath import UPath

    from outfeed.config.csv_options import CsvOptions
    from outfeed.formats.columns import Column, Kind
    from outfeed.formats.compression import Compression, open_decompressed
    from outfeed.formats.table_check import check_csv
    from outfeed.staging import Staging
    from outfeed.steps.table_validation import HashingReader

    options, compression, _ = EXPORTS[export]
    columns = [Column(name, Kind(kind), *more) for name, kind, *more in extracted["columns"]]
    dialect = CsvOptions.model_validate(options).dialect()
    staging = Staging(UPath(folder), "2")

    def report(_rows: int, _bytes: int) -> None:
        """Nobody looks."""

    started = time.perf_counter()
    with HashingReader(staging.open_chain(extracted["segments"]), True, report) as hashed:  # type: ignore[arg-type]
        stream: Any = open_decompressed(hashed, Compression(compression))  # type: ignore[arg-type]
        counts = check_csv(stream, columns, dialect)
        hashed.drain()
        assert counts.rows == extracted["rows"]
        assert hashed.bytes == extracted["bytes"]
    return {"seconds": time.perf_counter() - started}


def server_copy(url: str, query: str, options: str, file: str) -> dict[str, Any]:
    """The database itself writes a file: no network, no client."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        started = time.perf_counter()
        cursor.execute(f"COPY ({query}) TO '{file}' (FORMAT csv {options})")
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "bytes": Path(file).stat().st_size}


def sqlite_cli(path: str, query: str, file: str) -> dict[str, Any]:
    """SQLite's own command line writes a file."""
    program = shutil.which("sqlite3")
    if program is None:
        raise RuntimeError("sqlite3 is missing: apt-get install -y sqlite3")
    with Path(file).open("wb") as out:
        started = time.perf_counter()
        subprocess.run([program, "-readonly", "-csv", path, query], stdout=out, check=True)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "bytes": Path(file).stat().st_size}


def same_query(columns: list[list[Any]]) -> dict[str, Any]:
    """The SELECT that we send for a plain export."""
    from outfeed.config.csv_options import CsvOptions
    from outfeed.formats.columns import Column, Kind
    from outfeed.sources.postgresql_table_sql import value

    dialect = CsvOptions.model_validate(EXPORTS["plain"][0]).dialect()
    values = [value(Column(name, Kind(kind), *more), dialect) for name, kind, *more in columns]
    return {"query": f"SELECT {', '.join(values)} FROM {TABLE}"}


def duckdb_parquet(csv: str, file: str) -> dict[str, Any]:
    """DuckDB makes Parquet of a CSV whose columns' types it is told, with all cores."""
    import duckdb

    types = {
        "id": "BIGINT", "account_id": "INTEGER", "title": "VARCHAR", "note": "VARCHAR", "city": "VARCHAR",
        "amount": "DECIMAL(12, 4)", "ratio": "DOUBLE", "active": "BOOLEAN", "created": "TIMESTAMPTZ",
        "changed": "TIMESTAMP", "day": "DATE", "reference": "VARCHAR",
    }  # fmt: skip
    source = f"read_csv('{csv}', header = false, columns = {types}, quote = '\"', escape = '\"')"
    started = time.perf_counter()
    duckdb.sql(f"COPY (SELECT * FROM {source}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    return {"seconds": time.perf_counter() - started, "bytes": Path(file).stat().st_size}


def sql_to_s3(url: str, folder: str) -> dict[str, Any]:
    """Airflow's SqlToS3Operator, whose upload is a copy to a local file."""
    os.environ["AIRFLOW_HOME"] = folder
    os.environ["AIRFLOW_CONN_PLATFORM_DB"] = url
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = "aws://"
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator

    file = Path(folder) / "operator.csv"

    def load_file_obj(_hook: S3Hook, file_obj: Any, **_: Any) -> None:
        with file.open("wb") as out:
            shutil.copyfileobj(file_obj, out, 1 << 20)

    S3Hook.load_file_obj = load_file_obj
    operator = SqlToS3Operator(
        task_id="table",
        query=f"SELECT * FROM {TABLE}",
        s3_bucket="bucket",
        s3_key="table.csv",
        sql_conn_id="platform_db",
        file_format="csv",
        df_kwargs={"index": False},
    )
    started = time.perf_counter()
    operator.execute({})  # type: ignore[arg-type]
    return {"seconds": time.perf_counter() - started, "bytes": file.stat().st_size}


def night(url: str, home: str, end: str) -> dict[str, Any]:
    """Whatever the catalogue schedules by default, through every step, as one run."""
    import datetime as dt

    os.environ["OUTFEED_HOME"] = home
    Path(home).mkdir()
    from outfeed.config.catalogue import catalogue
    from outfeed.connectors.base import Credentials
    from outfeed.sources import open_source
    from outfeed.steps.extract import extract as extract_step
    from outfeed.steps.package import package
    from outfeed.steps.validate import validate as validate_step
    from tests.flow.night import Nights, config

    jobs = [
        job for name, entity in catalogue().items() for job, (cron, _) in entity.jobs(name).items() if cron
    ]
    nights = Nights(Path(home), url, config(schedules=dict.fromkeys(jobs, "10 0 * * *")))
    tick = dt.datetime.combine(dt.date.fromisoformat(end), dt.time(0, 10), dt.UTC)
    marks = [time.perf_counter()]
    run = nights.plan(tick)
    marks.append(time.perf_counter())
    source = open_source("platform-data", url, Credentials(), 2)
    for step in (lambda: extract_step(run, 0, source), lambda: validate_step(run, 0, source, None)):
        step()
        marks.append(time.perf_counter())
    package(run, 0)
    marks.append(time.perf_counter())
    result = nights.upload(run, "box")
    marks.append(time.perf_counter())
    files = nights.manifest(result)["files"]
    names = ("plan", "extract", "validate", "package", "upload")
    return {
        "seconds": marks[-1] - marks[0],
        "steps": {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)},
        "files": len(files),
        "rows": sum(file["rows"] for file in files),
        "bytes": sum(file["bytes"] for file in files),
    }


SIDES: dict[str, Callable[..., dict[str, Any]]] = {
    side.__name__: side
    for side in (extract, validate, server_copy, sqlite_cli, same_query, duckdb_parquet, sql_to_s3, night)
}


def main() -> None:
    """Runs the side that the command line describes."""
    arguments = json.loads(sys.argv[1])
    measured = SIDES[arguments.pop("side")](**arguments)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({**measured, "megabytes": peak_megabytes(), "helper_megabytes": helpers}))


if __name__ == "__main__":
    main()
