"""1,000 customers, a YAML file each: what Airflow's DAG processor pays for them, how soon it sees a change.

The real DAG processor runs alone, on a database of its own; what it has done is read from that database,
which is what scheduler, API and UI read. Customers are live and start tomorrow: each has a schedule, none
has a run yet. The scheduler joins at the end, to see what a thousand idle customers cost it. A process and a
transaction per file are Airflow's ways and are in the figures; our own share is measured in process.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import Report, Row, arguments, emit, environment, row
from scripts.airflow_local import ROOT, LocalAirflow
from scripts.processes import running, spawn
from tests.servers.process import scratch

#: Seconds between two looks into the database: the resolution of the latencies.
_LOOK_EVERY = 0.05
_TIMEOUT = 600.0

_CUSTOMER = """\
type: work-orders
state: live
description: Export of customer {number}, edition {edition}
time_zone: Europe/Paris
interval: daily
start_date: {start}
source: {{connection: platform_db, images_uri: s3://platform_images@images/originals}}
site_id:
{sites}
destinations:
{destinations}
notify:
  customer: [data@customer{number}.example]
  operators: [exports@platform.example]
"""
_DESTINATIONS = (
    """\
  - name: sftp
    type: sftp
    sftp_host: files.customer{number}.example
    sftp_remote_path: /upload/production
    username: outfeed
    host_public_key: {key}
    connection: customer{number}_sftp
    export_images: true
""",
    """\
  - name: bucket
    type: s3
    s3_bucket: customer-{number}-production
    s3_key_prefix: outfeed/production
    connection: customer{number}_s3
    export_images: true
""",
    """\
  - name: lake
    type: gcs
    storage_uri: gs://customer-{number}/production
    connection: customer{number}_gcs
""",
    """\
  - name: share
    type: local
    path: customer{number}/production
    filename_style: portable
""",
)


def write_customer(folder: Path, number: int, edition: int = 0) -> Path:
    """A customer with 1 to 20 sites and 1 or 2 destinations; written aside and renamed, as editors do."""
    key = b"".join(
        struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", bytes([number % 256]) * 32)
    )
    chosen = [_DESTINATIONS[number % 4], _DESTINATIONS[(number + 1) % 4]][: 1 + number % 2]
    text = _CUSTOMER.format(
        number=number,
        edition=edition,
        start=dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1),
        sites="\n".join(
            f"  - 00000000-0000-4000-8000-{number:06d}{site:06d}" for site in range(1 + number % 20)
        ),
        destinations="".join(chosen)
        .format(number=number, key=f"ssh-ed25519 {base64.b64encode(key).decode()}")
        .rstrip(),
    )
    return write(folder / f"customer{number:04d}.yaml", text)


def write(file: Path, text: str) -> Path:
    """The file appears whole."""
    aside = file.with_suffix(".tmp")
    aside.write_text(text)
    return aside.rename(file)


class Catalogue:
    """What the DAG processor has written into Airflow's database."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        self._engine = create_engine(url)

    def _scalar(self, query: str, **values: Any) -> Any:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return connection.execute(text(query), values).scalar()

    def runnable(self) -> int:
        """Number of DAGs that are there, serialised and without an import error."""
        return int(
            self._scalar(
                "SELECT count(DISTINCT s.dag_id) FROM serialized_dag s JOIN dag d ON d.dag_id = s.dag_id"
                " WHERE NOT d.is_stale AND NOT d.has_import_errors"
            )
        )

    def edition(self, dag_id: str) -> str | None:
        """Hash of the newest serialised version of a DAG, or None if it can't run."""
        found: str | None = self._scalar(
            "SELECT s.dag_hash FROM serialized_dag s JOIN dag d ON d.dag_id = s.dag_id"
            " WHERE s.dag_id = :dag_id AND NOT d.is_stale AND NOT d.has_import_errors"
            " ORDER BY s.last_updated DESC LIMIT 1",
            dag_id=dag_id,
        )
        return found

    def import_error(self, filename: str) -> str | None:
        """The text of a file's import error."""
        found: str | None = self._scalar(
            "SELECT stacktrace FROM import_error WHERE filename = :filename", filename=filename
        )
        return found


def seconds_until(condition: Callable[[], bool]) -> float:
    """How long it takes until something is so."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _TIMEOUT:
            raise TimeoutError(f"not so after {_TIMEOUT:.0f} s; see the logs of the scratch folder")
        time.sleep(_LOOK_EVERY)
    return time.monotonic() - began


@contextmanager
def component(airflow: LocalAirflow, name: str, *command: str) -> Iterator[None]:
    """One component of Airflow, started and ended."""
    spawn(
        name,
        [sys.executable, "-m", "airflow", name, *command],
        airflow.env(),
        home=airflow.home,
        cwd=ROOT,
        die_with_parent=True,
    )
    try:
        yield
    finally:
        airflow.stop()


def cpu_seconds(home: Path) -> float:
    """Processor time that the processes of a home have used, with that of their children that have ended."""
    total = 0.0
    for pid in running(home):
        try:
            total += sum(psutil.Process(pid).cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def cpu_share(home: Path, seconds: float) -> float:
    """Percent of one core that the processes of a home use."""
    before, began = cpu_seconds(home), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(home) - before) / (time.monotonic() - began)


def memory(home: Path) -> float:
    """MB of memory of all processes of a home, pages that they share counted once (PSS)."""
    found = [psutil.Process(pid).memory_full_info().pss for pid in running(home)]
    return sum(found) / 1e6


def in_process(customers: Path, files: int) -> tuple[list[float], list[float]]:
    """Processor milliseconds per file: for the configuration alone, and for the whole DAG."""
    import subprocess

    found = []
    for mode in ("load", "import"):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins"), str(ROOT)]),
            "AIRFLOW_HOME": str(customers.parent.parent / "in-process"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        }
        done = subprocess.run(
            [sys.executable, "-c", _IN_PROCESS, mode, str(customers), str(files)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append([float(value) for value in done.stdout.split()[-files:]])
    return found[0], found[1]


_IN_PROCESS = """
import sys, time
from pathlib import Path
import airflow
from outfeed.config.load import load_config
from outfeed_airflow.yaml_importer import CustomerYamlImporter
mode, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
importer = CustomerYamlImporter()
files = sorted(folder.glob("*.yaml"))[: count + 1]
for number, file in enumerate(files):
    began = time.process_time()
    if mode == "load":
        load_config(file)
    else:
        result = importer.import_file(file, bundle_path=folder.parent)
        assert result.dags and not result.errors, result.errors
    if number:
        print(1000 * (time.process_time() - began))
"""


def measure(home: Path, customers: int, rounds: int, idle: float) -> list[Row]:
    """All rows."""
    folder = home / "dags" / "customers"
    folder.mkdir(parents=True)
    for number in range(customers):
        write_customer(folder, number)
    load, imported = in_process(folder, min(200, customers - 1))
    rows = [
        row("one YAML to a checked configuration: processor time", load, "ms"),
        row("one YAML to a DAG object: processor time", imported, "ms"),
    ]
    airflow = LocalAirflow(home, port=0, dags_folder=folder.parent, settings_file=None, mail_port=None)
    airflow.prepare()
    catalogue = Catalogue(airflow.settings()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with component(airflow, "dag-processor"):
        first = seconds_until(lambda: catalogue.runnable() == customers)
        used = cpu_seconds(home)
        rows += [
            row(f"first pass, from the start: all {customers:,} DAGs are in the database", first, "s"),
            row("first pass: processor time per file, the start included", 1000 * used / customers, "ms"),
        ]
        time.sleep(10)
        rows += _changes(folder, catalogue, customers, rounds)
        time.sleep(10)
        rows.append(row("DAG processor at rest: share of one core", cpu_share(home, idle), "%"))
        rows.append(row("DAG processor at rest: memory (PSS)", memory(home), "MB"))
    with component(airflow, "scheduler", "--skip-serve-logs"):
        time.sleep(20)
        rows.append(
            row("scheduler with as many idle customers: share of one core", cpu_share(home, idle), "%")
        )
    return rows


def _changes(folder: Path, catalogue: Catalogue, customers: int, rounds: int) -> list[Row]:
    edits, breaks, repairs, additions = [], [], [], []
    for number in range(rounds):
        file = folder / f"customer{(number * 37) % customers:04d}.yaml"
        known = catalogue.edition(file.stem)
        write_customer(folder, (number * 37) % customers, edition=1)
        edits.append(
            seconds_until(lambda file=file, known=known: catalogue.edition(file.stem) not in (known, None))
        )
        time.sleep(2.5)
        good = file.read_text()
        write(file, good.replace("interval:", "intervall:"))
        shown = f"customers/{file.name}"
        breaks.append(seconds_until(lambda shown=shown: catalogue.import_error(shown) is not None))
        time.sleep(2.5)
        write(file, good)
        repairs.append(seconds_until(lambda file=file: catalogue.edition(file.stem) is not None))
        time.sleep(2.5)
        added = write_customer(folder, customers + number)
        additions.append(seconds_until(lambda added=added: catalogue.edition(added.stem) is not None))
        time.sleep(2.5)
    return [
        row("edit: until the new version is there", edits, "s"),
        row("mistake: until the import error is there", breaks, "s"),
        row("repair: until the DAG can run again", repairs, "s"),
        row("new file: until its DAG is there", additions, "s"),
    ]


def main() -> None:
    """Measures, and prints the report."""
    options = arguments(__doc__)
    where = environment("apache-airflow", "pydantic", "PyYAML")
    with scratch("many-customers") as home:
        rows = (
            measure(home, customers=20, rounds=1, idle=3)
            if options.quick
            else measure(home, customers=1000, rounds=7, idle=40)
        )
    emit(
        Report(
            name="many_customers",
            title="A thousand customers",
            environment=where,
            rows=tuple(rows),
            notes=(
                "One parsing pass per file at start; afterwards only files that changed are parsed "
                "(`min_file_process_interval` is an hour). Two parsing processes (Airflow's default), "
                "SQLite.",
                "A new file waits for the next listing of the folder (every 5 s).",
            ),
        )
    )


if __name__ == "__main__":
    main()
