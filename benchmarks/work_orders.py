"""Work orders from PostgreSQL: read, checked against the contract and hashed, against a flat COPY.

The flat COPY joins the same tables and writes the same values as CSV: what the database and one connection
can do at best without making records. Everything runs on one machine, interleaved, each side in a process of
its own, so that memory is that of one task.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from upath import UPath

from benchmarks.processes import in_process, peak_megabytes
from benchmarks.report import Report, arguments, emit, environment, ratios, row
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.connectors.base import Credentials
from outfeed.contracts import Contract
from outfeed.datasets import dataset_folder
from outfeed.demo_data import demo_sites, generate
from outfeed.ledger import Ledger
from outfeed.plan import Reason
from outfeed.planning import RunRequest
from outfeed.sources import open_source
from outfeed.staging import Staging
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from outfeed.steps.start import start
from outfeed.steps.validate import validate
from outfeed.windows import Window
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.process import scratch

DAY = dt.date(2026, 3, 3)
(SITE,) = demo_sites(1)

#: Orders have about five inputs: 100,000 and 1,000,000 inputs.
SMALL, LARGE = 20_000, 200_000
SMALL_ROUNDS, LARGE_ROUNDS = 5, 2

_JOINED = """
    FROM work_order o
    LEFT JOIN work_item w ON w.work_order_pk = o.pk
    LEFT JOIN input i ON i.work_item_pk = w.pk
    LEFT JOIN job_conformity j ON j.input_pk = i.pk
    WHERE o.site_id IS NOT NULL
"""
_JOB = (
    "j.task_name, j.analyzed_value, j.corrected_value, j.corrected_date, j.message, j.is_conformity_validated"
)
FLAT = {
    "every value": "SELECT o.id, o.name, o.site_id, o.create_date, o.update_date, o.metadata,"
    f" o.progress_score, w.id, w.name, i.id, i.create_date, i.file_extension, i.metadata, {_JOB} {_JOINED}",
    "ids and tasks": f"SELECT o.id, w.id, i.id, {_JOB} {_JOINED}",
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run of one side."""

    seconds: float
    megabytes: float
    output_bytes: int
    steps: dict[str, float] = dataclasses.field(default_factory=dict)


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    packages = ("orjson", "jsonschema-rs", "jsonschema", "psycopg2-binary")
    found = environment(*packages, PostgreSQL="Debian's, fsync off, parallel query and JIT off")
    sizes = (
        {"small": (1_000, 1)} if quick else {"small": (SMALL, SMALL_ROUNDS), "large": (LARGE, LARGE_ROUNDS)}
    )
    rows = []
    with postgres_server() as server:
        for name, (orders, rounds) in sizes.items():
            url = filled(server, name, orders)
            rows += sized_rows(url, f"{orders * 5 // 1000}k inputs", rounds)
    rows += validation_rows(1_000 if quick else 4_000)
    emit(
        Report(
            name="work_orders",
            title="Work orders: from the database to a validated, hashed file",
            environment=found,
            rows=tuple(rows),
            notes=(
                "Ratios are our wall time (extract on two connections, then validate) over the flat COPY's. "
                "`every value` repeats the parents' values in each row; `ids and tasks` leaves them out.",
                "Staging and CSV are written to the same disk. Processes are started before the clock is. "
                "About 6 tasks per input, 2 % of the orders break the contract.",
                "Memory is that of the task's process and its two checking processes, each at its peak: "
                "an upper bound. The image list is made against a local store that lacks the images.",
            ),
        )
    )


def filled(server: PostgresServer, name: str, orders: int) -> str:
    """A database with one site and one day of work orders."""
    import psycopg2

    url = server.create_database(f"bench_{name}")
    generate(url, None, sites=1, orders_per_day=orders, days=1, end=DAY + dt.timedelta(days=1), seed=1)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE bench_{name} SET max_parallel_workers_per_gather = 0")
        cursor.execute(f"ALTER DATABASE bench_{name} SET jit = off")
        cursor.execute("VACUUM ANALYZE")
    connection.close()
    return url


def sized_rows(url: str, size: str, rounds: int) -> list[Any]:
    """Interleaved rounds of all sides on one database."""
    sides: dict[str, Callable[[], Measured]] = {
        **{name: functools.partial(in_process, flat_copy, url, query) for name, query in FLAT.items()},
        "ours": functools.partial(in_process, extract_and_validate, url, False),
        "with images": functools.partial(in_process, extract_and_validate, url, True),
    }
    taken: dict[str, list[Measured]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(side())
    seconds = {name: [one.seconds for one in measured] for name, measured in taken.items()}
    ours, images = taken["ours"], taken["with images"]
    return [
        *(row(f"flat COPY, {name}, {size}", seconds[name], "s") for name in FLAT),
        row(f"extract, {size}", [one.steps["extract"] for one in ours], "s"),
        row(f"validate and hash, {size}", [one.steps["validate"] for one in ours], "s"),
        row(f"validated file, {size}", ours[0].output_bytes / 1e6, "MB"),
        *(
            row(f"ours / flat COPY, {name}, {size}", ratios(seconds["ours"], seconds[name]), "×", "<= 2.5")
            for name in FLAT
        ),
        row(
            f"image list on top, {size}",
            [b - a for a, b in zip(seconds["ours"], seconds["with images"], strict=True)],
            "s",
        ),
        row(f"peak memory of the task, {size}", [one.megabytes for one in ours], "MB", "<= 512"),
        row(f"peak memory with image list, {size}", [one.megabytes for one in images], "MB", "<= 512"),
    ]


def flat_copy(url: str, query: str) -> Measured:
    """The reference: joined rows as CSV, as fast as the driver hands them over."""
    import psycopg2

    with scratch("bench") as folder, psycopg2.connect(url) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        with (folder / "flat.csv").open("wb", buffering=4 << 20) as stream:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", stream)
        seconds = time.perf_counter() - started
        size = (folder / "flat.csv").stat().st_size
    return Measured(seconds, peak_megabytes(), size)


def extract_and_validate(url: str, images: bool) -> Measured:
    """The steps as a task runs them, with staging and ledger; two tasks in one process."""
    with scratch("bench") as folder:
        (folder / "images").mkdir()
        (folder / "images" / "one.png").write_bytes(b"")
        run = planned(folder, images)
        source = open_source("work-orders", url, Credentials(), 2)
        marks = [time.perf_counter()]
        extract(run, 0, source)
        marks.append(time.perf_counter())
        validate(run, 0, source, UPath(folder / "images"))
        marks.append(time.perf_counter())
        done = run.staging.result("validate", run.plan.parts[0].key)
        run.ledger.close()
    assert done is not None
    assert done["rows"] > 0
    steps = {"extract": marks[1] - marks[0], "validate": marks[2] - marks[1]}
    return Measured(marks[2] - marks[0], peak_megabytes(workers=2), done["bytes"], steps)


def planned(folder: Path, images: bool) -> RunContext:
    """A run over the whole of the data: late updates reach a few days beyond the day."""
    config = WorkOrdersConfig.model_validate(
        {
            "type": "work-orders",
            "state": "live",
            "start_date": "2026-01-01",
            "interval": "daily",
            "site_id": [SITE],
            "source": {"connection": "platform_db", "images_uri": "images"},
            "destinations": [{"name": "here", "type": "local", "path": "x", "export_images": images}],
        }
    )
    midnight = dt.datetime.combine(DAY, dt.time(), dt.UTC)
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    staging = Staging(UPath(folder / "staging"), "1")
    window = Window(midnight, midnight + dt.timedelta(days=5))
    request = RunRequest("bench", config.all_schedules()[0], window, "run", Reason.MANUAL)
    plan = start(
        request, config=config, config_file="bench.yaml", staging=staging, ledger=ledger, attempt="1"
    )
    return RunContext(plan, staging, ledger, "1")


def validation_rows(documents: int) -> list[Any]:
    """Our check of a line against the `jsonschema` library's, formats asserted by both."""
    import jsonschema

    lines = sample(documents)
    contract = Contract.load("work-orders")
    schema = json.loads((dataset_folder("work-orders") / "contract.schema.json").read_bytes())
    reference = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    few = lines[: len(lines) // 40]
    fast, slow = [], []
    for _ in range(5):
        started = time.perf_counter()
        accepted = sum(not contract.check(line)[1] for line in lines)
        fast.append(len(lines) / (time.perf_counter() - started))
        started = time.perf_counter()
        agreed = sum(reference.is_valid(json.loads(line)) for line in few)
        slow.append(len(few) / (time.perf_counter() - started))
        assert accepted >= agreed > 0
    size = sum(map(len, lines)) / len(lines) / 1000
    return [
        row(f"contract check, records of {size:.1f} kB", fast, "records/s"),
        row("the jsonschema library, the same records", slow, "records/s"),
        row("contract check / jsonschema", ratios(fast, slow), "×", ">= 50"),
    ]


def sample(documents: int) -> list[bytes]:
    """Records of the demo platform."""
    with scratch("bench") as folder:
        url = f"sqlite:///{folder / 'platform.db'}"
        generate(url, None, sites=1, orders_per_day=documents, days=1, end=DAY + dt.timedelta(days=1), seed=1)
        run = planned(folder, images=False)
        extract(run, 0, open_source("work-orders", url, Credentials()))
        run.ledger.close()
        extracted = run.staging.result("extract", run.plan.parts[0].key)
        assert extracted is not None
        return [
            line
            for segment in extracted["segments"]
            for line in run.staging.path(segment).read_bytes().splitlines()
        ]


if __name__ == "__main__":
    main()
