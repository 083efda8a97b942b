"""Tables from PostgreSQL as CSV: our extract against ELT tools and against Airflow's own operator.

Each ELT tool has a virtualenv of its own below `.outfeed/peers`, made when it is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import Report, Row, arguments, emit, environment, ratios, row
from benchmarks.tables import scratch, staged
from benchmarks.tables_data import filled
from benchmarks.tables_sides import TABLE, run_side
from tests.servers.postgres import PostgresServer, postgres_server

LARGE, SMALL, ROUNDS = 5_000_000, 500_000, 3

HOME = Path(__file__).resolve().parents[1] / ".outfeed" / "peers"

PACKAGES = {
    "ingestr": ("ingestr==0.15.9",),
    # Its own package would download the program.
    "sling": ("sling-linux-amd64==1.4.11",),
    "dlt": ("dlt[filesystem,parquet,sql_database]==1.31.0", "psycopg2-binary", "connectorx"),
}

#: Takes minutes: one round says enough.
SLOW = "sling"

#: dlt has no command for it. connectorx was the fastest of its backends, sqlalchemy the slowest by far.
_DLT = """
import os, sys
url, table, folder = sys.argv[1:]
os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = f"file://{folder}/files"
os.environ["NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
import dlt
from dlt.sources.sql_database import sql_table
pipeline = dlt.pipeline("peer", destination="filesystem", dataset_name="d", pipelines_dir=f"{folder}/state")
pipeline.run(sql_table(url, table=table, backend="connectorx"), loader_file_format="csv")
"""


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    found = environment(
        "asyncpg", "apache-airflow", "apache-airflow-providers-amazon", "pandas",
        PostgreSQL="Debian's, fsync off, parallel query and JIT off",
    )  # fmt: skip
    large, small, rounds = (20_000, 20_000, 1) if quick else (LARGE, SMALL, ROUNDS)
    problems = {name: installed(name) for name in PACKAGES}
    with postgres_server() as server, scratch() as folder:
        able = [name for name, problem in problems.items() if problem is None]
        rows = [
            *peer_rows(server, large, rounds, able, folder),
            *operator_rows(server, small, rounds, folder),
        ]
    emit(
        Report(
            name="tables_peers",
            title="Tables: other tools",
            environment=found,
            rows=tuple(rows),
            notes=(
                "The table of `tables`. Against ELT tools the whole processes are timed, ours too; all write "
                "one CSV with LF to the same disk, each in its own dialect. dlt reads by connectorx, its "
                "fastest way here. Nobody checks the file or uploads it. Ours alone has the database write "
                "dates as customers get them, which costs time: see `same query` in `tables`; `dates with a "
                "space` (`yyyy-MM-dd HH:mm:ss`) cost less. ingestr wrote "
                "the UUIDs as lists of numbers, sling put an offset behind timestamps that have none.",
                "SqlToS3Operator and, beside it, ours are timed inside their process, imports of ours "
                "included where the work needs them; the operator's upload is replaced by a local file.",
                *(f"{name} could not be installed: {why}" for name, why in problems.items() if why),
            ),
        )
    )


def peer_rows(server: PostgresServer, rows: int, rounds: int, peers: list[str], folder: Path) -> list[Row]:
    """Interleaved rounds."""
    url = filled(server, rows)
    size = f"{rows / 1e6:g}M rows"
    ours: list[float] = []
    spaced: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    for number in range(rounds):
        with staged(folder, url, "plain") as (plain, _):
            ours.append(plain["wall"])
        with staged(folder, url, "spaced") as (plain, _):
            spaced.append(plain["wall"])
        for name in peers:
            if name == SLOW and number > 0:
                continue
            target = folder / name
            theirs[name].append(run_peer(name, url, target))
            shutil.rmtree(target)
    found = [
        row(f"ours, whole process, {size}", ours, "s"),
        row(f"ours, dates with a space, {size}", spaced, "s"),
    ]
    for name, seconds in theirs.items():
        found += [
            row(f"{PACKAGES[name][0]}, {size}", seconds, "s"),
            row(f"{name} / ours", ratios(seconds, ours[: len(seconds)]), "×", ">= 4"),
            row(f"{name} / ours, dates with a space", ratios(seconds, spaced[: len(seconds)]), "×"),
        ]
    return found


def operator_rows(server: PostgresServer, rows: int, rounds: int, folder: Path) -> list[Row]:
    """Airflow's own operator, which holds the whole table in memory."""
    url = filled(server, rows)
    ours, theirs = [], []
    for _ in range(rounds):
        with staged(folder, url, "plain") as (plain, _):
            ours.append(plain)
        home = folder / "airflow"
        theirs.append(run_side("sql_to_s3", url=url, folder=str(home)))
        shutil.rmtree(home)
    size = f"{rows // 1000}k rows"
    seconds = [[one["seconds"] for one in side] for side in (theirs, ours)]
    return [
        row(f"ours, {size}", seconds[1], "s"),
        row(f"SqlToS3Operator, {size}", seconds[0], "s"),
        row("SqlToS3Operator / ours", ratios(*seconds), "×", ">= 20"),
        row(f"ours: peak memory, {size}", [one["megabytes"] for one in ours], "MB"),
        row(f"SqlToS3Operator: peak memory, {size}", [one["megabytes"] for one in theirs], "MB"),
    ]


def installed(name: str) -> str | None:
    """None if the peer can be run, else why it can't."""
    folder = HOME / name
    if (folder / "ready").exists():
        return None
    python, uv = folder / "bin" / "python", Path(sys.executable).parent / "uv"
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", python, *PACKAGES[name]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["uv failed"])[-1]
    (folder / "ready").touch()
    return None


def run_peer(name: str, url: str, folder: Path) -> float:
    """Seconds that a peer takes to write the table as CSV, its start included.

    Raises:
        RuntimeError: it failed, or wrote nothing that could be the table.
    """
    folder.mkdir()
    os.sync()
    home = {**os.environ, "HOME": str(folder), "DLT_DATA_DIR": str(folder), "DISABLE_TELEMETRY": "true"}
    started = time.perf_counter()
    done = subprocess.run(
        _command(name, url, folder), cwd=folder, env=home, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    sizes = [file.stat().st_size for file in folder.rglob("*.csv")]
    if done.returncode or max(sizes, default=0) < 1_000:
        raise RuntimeError(f"{name} failed ({sizes}):\n{(done.stdout + done.stderr)[-2000:]}")
    return seconds


def _command(name: str, url: str, folder: Path) -> list[str]:
    home = HOME / name
    if name == "ingestr":
        source = ["--source-uri", url, "--source-table", f"public.{TABLE}"]
        target = ["--dest-uri", f"csv://{folder}/table.csv", "--dest-table", f"out.{TABLE}"]
        return [str(home / "bin" / "ingestr"), "ingest", *source, *target, "--yes", "--progress", "log"]
    if name == "sling":
        (program,) = home.glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64")
        source = ["--src-conn", f"{url}?sslmode=disable", "--src-stream", f"public.{TABLE}"]
        return [str(program), "run", *source, "--tgt-object", f"file://{folder}/table.csv"]
    driver = url.replace("postgresql://", "postgresql+psycopg2://")
    return [str(home / "bin" / "python"), "-c", _DLT, driver, TABLE, str(folder)]


if __name__ == "__main__":
    main()
