"""A night of platform data: all 57 entities of a large platform, from the database to a delivered folder.

First the steps of the library, one after the other, as a single task and its upload would run them; then the
whole customer in a real Airflow, whose scheduler starts one run per schedule of the catalogue.
"""

from __future__ import annotations

import datetime as dt
import shutil

from benchmarks.night_in_airflow import night_in_airflow
from benchmarks.report import Report, arguments, emit, environment, row
from benchmarks.report import ratios as paired
from benchmarks.tables import scratch
from benchmarks.tables_sides import run_side
from tests.servers.postgres import PostgresServer, postgres_server

DAYS = 20

#: Rows of the tables that grow with a platform's use; the other 54 have what the generator makes.
LARGE = {"assets_views": 6_000_000, "users_login_logout": 2_500_000, "user_access": 1_400_000}
ROUNDS = 2


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    found = environment("asyncpg", "pyarrow", "SQLAlchemy", PostgreSQL="Debian's, fsync off, JIT off")
    today = dt.datetime.now(dt.UTC).date()
    wanted = {name: count // 100 for name, count in LARGE.items()} if quick else LARGE
    nights = []
    with postgres_server() as server, scratch() as folder:
        url = filled(server, wanted, today)
        for number in range(1 if quick else ROUNDS):
            home = folder / f"home-{number}"
            nights.append(run_side("night", url=url, home=str(home), end=today.isoformat()))
            shutil.rmtree(home)
        scheduled = night_in_airflow(folder / "airflow", url)
    first = nights[0]
    total = [night["seconds"] for night in nights]
    copied = [night["steps"]["extract"] for night in nights]
    rows = (
        row("**all steps**", total, "s"),
        *(row(f"of it {step}", [night["steps"][step] for night in nights], "s") for step in first["steps"]),
        row("all steps / extract", paired(total, copied), "×"),
        row("files", first["files"], ""),
        row("rows in them", first["rows"], ""),
        row("bytes in them", first["bytes"] / 1e6, "MB"),
        row("peak memory of the process", [night["megabytes"] for night in nights], "MB", "<= 512"),
        row("**the same night in Airflow, first start to last end**", scheduled.seconds, "s"),
        row("files, beside the one of the test export", scheduled.files, ""),
        row("rows in them, in Airflow", scheduled.rows, ""),
        row("Airflow's overhead per run", [run.total for run in scheduled.runs], "s"),
        row("work on a run's chain", [run.work for run in scheduled.runs], "s"),
        row("tasks", sum(run.tasks for run in scheduled.runs), ""),
        row("the night in Airflow / all steps", scheduled.seconds / min(total), "×"),
    )
    emit(
        Report(
            name="platform_night",
            title="A night of platform data: 57 entities",
            environment=found,
            rows=rows,
            notes=(
                "`plan` includes the ledger's first migration.",
                "All that the catalogue schedules by default, default dialect (CRLF), uncompressed, to a "
                "local destination, in one process with two connections.",
                "In Airflow: LocalExecutor, SQLite for Airflow and the ledger, as `make up` has them; a run "
                "per schedule, all due at once and sharing two processors, so that they slow each other "
                "down. `benchmarks/airflow_runs.py` says what counts as work and what as overhead.",
            ),
        )
    )


def filled(server: PostgresServer, wanted: dict[str, int], today: dt.date) -> str:
    """A generated platform, whose large tables are repeated with other ids until they have so many rows."""
    import psycopg
    from psycopg import sql

    from outfeed.demo_data.platform_data import generate

    url = server.create_database("night")
    known = generate(url, scale=10, days=DAYS, end=today, seed=1)
    with psycopg.connect(url, autocommit=True) as connection:
        for table, count in wanted.items():
            found = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
                " ORDER BY ordinal_position",
                [table],
            ).fetchall()
            others = [name for (name,) in found if name != "id"]
            (last,) = connection.execute(
                sql.SQL("SELECT max(id) FROM {}").format(sql.Identifier(table))
            ).fetchall()[0]
            statement = sql.SQL(
                "INSERT INTO {table} (id, {columns}) SELECT id + number * {offset}, {columns}"
                " FROM {table} CROSS JOIN generate_series(1, {copies}) AS number LIMIT {missing}"
            ).format(
                table=sql.Identifier(table),
                columns=sql.SQL(", ").join(map(sql.Identifier, others)),
                offset=last,
                copies=count // known.rows[table] + 1,
                missing=max(0, count - known.rows[table]),
            )
            connection.execute(statement)
        connection.execute("ALTER DATABASE night SET max_parallel_workers_per_gather = 0")
        connection.execute("VACUUM (ANALYZE, FREEZE)")
        connection.execute("CHECKPOINT")
    return url


if __name__ == "__main__":
    main()
