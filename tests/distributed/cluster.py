"""Airflow with CeleryExecutor, a platform, an object store and a customer's SFTP server, all of them real."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from outfeed.demo_data import generate
from outfeed.ledger import Ledger
from scripts.airflow_local import LocalAirflow
from scripts.airflow_rest import AirflowRest
from tests.distributed.hosts import Host, two_hosts, wait_until
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_ports, scratch
from tests.servers.proxy import TcpProxy, tcp_proxy
from tests.servers.redis import redis_server
from tests.servers.s3 import S3Server
from tests.servers.sshd import SshServer

CUSTOMER = "acme"
SITES = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"site-{number}.example")) for number in range(4)]
#: Days with data: today, and those before it.
DAYS = 6
ORDERS_PER_DAY = 6

STAGING_BUCKET, PLATFORM_BUCKET, CUSTOMER_BUCKET = "staging", "platform", "customer"
BUCKET_PREFIX = "exports/acme"

_YAML = """\
type: work-orders
state: draft
time_zone: {time_zone}
interval: daily
source: {{connection: platform_db, images_uri: "s3://object_store@{platform_bucket}/images"}}
site_id: [{sites}]
export_type: work-orders-timeline
destinations:
  - name: partner
    type: sftp
    sftp_host: 127.0.0.1
    sftp_port: {sftp_port}
    sftp_remote_path: {sftp_base}
    username: {username}
    host_public_key: {host_key}
    connection: customer_sftp
    export_images: true
    parallel: 2
  - name: lake
    type: s3
    s3_bucket: {customer_bucket}
    s3_key_prefix: {bucket_prefix}
    connection: object_store
    export_images: true
"""


@dataclasses.dataclass
class Task:
    """A task instance as Airflow knows it."""

    task_id: str
    map_index: int
    state: str
    host: str
    attempt: int


@dataclasses.dataclass
class Cluster:
    """What the tests look at.

    Attributes:
        proxy: in front of the customer's SFTP server.
        sftp_folder: the customer's folder there.
    """

    airflow: LocalAirflow
    hosts: tuple[Host, Host]
    s3: S3Server
    proxy: TcpProxy
    sftp_folder: Path
    platform_dsn: str
    ledger_dsn: str
    time_zone: dt.timezone

    @cached_property
    def rest(self) -> AirflowRest:
        """Airflow's API."""
        return self.airflow.rest()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger in PostgreSQL."""
        return Ledger(self.ledger_dsn.replace("postgresql://", "postgresql+psycopg://"))

    @cached_property
    def today(self) -> dt.date:
        """The customer's day when the tests began."""
        return dt.datetime.now(self.time_zone).date()

    def midnight(self, days_ago: int) -> dt.datetime:
        """The begin of a day of the customer."""
        return dt.datetime.combine(self.today - dt.timedelta(days=days_ago), dt.time(), self.time_zone)

    def window_name(self, first: int, last: int) -> str:
        """How the names of a window's files begin; its bounds are days ago."""
        bounds = [self.midnight(days).astimezone(dt.UTC) for days in (first, last)]
        return "_".join(f"{bound:%Y-%m-%d_%H:%M:%S}" for bound in bounds)

    def host(self, name: str) -> Host:
        """A host by its name."""
        return next(host for host in self.hosts if host.name == name)

    def go_live(self) -> None:
        """What an engineer does after the test export."""
        file = self.airflow.dags_folder / "customers" / f"{CUSTOMER}.yaml"
        file.write_text(file.read_text().replace("state: draft", "state: live"))

    def runs(self, kind: str) -> list[str]:
        """Ids of the runs of a type."""
        return [run["dag_run_id"] for run in self.rest.runs(CUSTOMER) if run["run_type"] == kind]

    def tasks(self, run_id: str) -> list[Task]:
        """A run's task instances."""
        path = f"/dags/{CUSTOMER}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=100"
        return [
            Task(found["task_id"], found["map_index"], found["state"], found["hostname"], found["try_number"])
            for found in self.rest.request("GET", path)["task_instances"]
        ]

    def task(self, run_id: str, task_id: str) -> Task:
        """An unmapped task instance."""
        return next(task for task in self.tasks(run_id) if task.task_id == task_id)

    def succeed(self, run_id: str) -> None:
        """Waits for the end of a run, which must be success."""
        state = self.rest.wait_for_run(CUSTOMER, run_id, timeout=300)
        assert state == "success", f"{self.rest.task_states(CUSTOMER, run_id)}\n{self.complaints()}"

    def complaints(self) -> str:
        """What tasks had to say at level warning or worse, for the message of a failed test."""
        return "\n".join(host.complaints() for host in self.hosts)

    def source_ids(self, site: str, start: dt.datetime, end: dt.datetime) -> list[str | None]:
        """Work orders of a site in a window, asked from the platform without our SQL."""
        with psycopg.connect(self.platform_dsn) as connection:
            rows = connection.execute(
                "SELECT id FROM work_order WHERE site_id = %s AND "
                "CASE WHEN update_date IS NULL THEN create_date ELSE update_date END >= %s AND "
                "CASE WHEN update_date IS NULL THEN create_date ELSE update_date END < %s",
                (site, start, end),
            ).fetchall()
        return [order_id for (order_id,) in rows]

    def download(self, folder: Path) -> Path:
        """The customer's bucket as a folder, fetched with plain boto3."""
        client = self.s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=CUSTOMER_BUCKET)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]

        def fetch(key: str) -> None:
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(client.get_object(Bucket=CUSTOMER_BUCKET, Key=key)["Body"].read())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fetch, keys))
        return folder / BUCKET_PREFIX


def tree(base: Path) -> dict[str, str]:
    """Every file below a folder, with its digest."""
    return {
        str(file.relative_to(base)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in base.rglob("*")
        if file.is_file()
    }


def sha256sum_accepts(base: Path, sums: Path) -> None:
    """The judgement of coreutils."""
    command = ["sha256sum", "--check", "--strict", "--quiet", str(sums.relative_to(base))]
    done = subprocess.run(command, cwd=base, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def cluster(postgres: PostgresServer, s3: S3Server, sshd: SshServer) -> Iterator[Cluster]:
    """Everything up, the customer a draft; everything down afterwards, whatever happened."""
    databases = {
        name: postgres.create_database(f"distributed_{name}") for name in ("airflow", "ledger", "platform")
    }
    sftp_base, sftp_folder = sshd.make_base("distributed")
    zone_name, zone = _zone_at_noon()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch("distributed"))
        broker = stack.enter_context(redis_server())
        proxy = stack.enter_context(tcp_proxy(sshd.port))
        _make_platform(databases["platform"], s3, folder / "images")
        dags = folder / "dags"
        (dags / "customers").mkdir(parents=True)
        (dags / "customers" / f"{CUSTOMER}.yaml").write_text(
            _YAML.format(
                time_zone=zone_name,
                sites=", ".join(SITES),
                sftp_port=proxy.port,
                sftp_base=sftp_base,
                username=sshd.username,
                host_key=sshd.host_public_key,
                platform_bucket=PLATFORM_BUCKET,
                customer_bucket=CUSTOMER_BUCKET,
                bucket_prefix=BUCKET_PREFIX,
            )
        )
        metadata = databases["airflow"].replace("postgresql://", "postgresql+psycopg2://")
        airflow = LocalAirflow(
            home=folder,
            port=free_ports(1)[0],
            dags_folder=dags,
            settings_file=None,
            mail_port=None,
            die_with_parent=True,
            overrides={
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
                "AIRFLOW__CELERY__BROKER_URL": broker.url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
                # Both hosts have the same address; what tells them apart is their name.
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
                "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
                "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
                "OUTFEED_STAGING_URI": f"s3://object_store@{STAGING_BUCKET}/runs",
                **_connections(databases, s3, sshd),
            },
        )
        stack.callback(shutil.rmtree, sftp_folder, ignore_errors=True)
        stack.callback(airflow.stop)
        airflow.start(timeout=240)
        made = Cluster(
            airflow=airflow,
            hosts=two_hosts(airflow),
            s3=s3,
            proxy=proxy,
            sftp_folder=sftp_folder,
            platform_dsn=databases["platform"],
            ledger_dsn=databases["ledger"],
            time_zone=zone,
        )
        wait_until(lambda: CUSTOMER in made.rest.dag_ids(), f"the DAG; {made.rest.import_errors()}")
        yield made


def _zone_at_noon() -> tuple[str, dt.timezone]:
    """A zone in which it is about noon now, so that no window ends while the tests run."""
    offset = 12 - dt.datetime.now(dt.UTC).hour
    return f"Etc/GMT{-offset:+d}", dt.timezone(dt.timedelta(hours=offset))


def _connections(databases: dict[str, str], s3: S3Server, sshd: SshServer) -> dict[str, str]:
    store = {
        "conn_type": "aws",
        "login": s3.access_key,
        "password": s3.secret_key,
        "extra": {"endpoint_url": s3.endpoint, "region_name": s3.region},
    }
    made: dict[str, dict[str, Any]] = {
        "OUTFEED_LEDGER": _database(databases["ledger"]),
        "PLATFORM_DB": _database(databases["platform"]),
        "OBJECT_STORE": store,
        "CUSTOMER_SFTP": {"conn_type": "sftp", "extra": {"private_key": sshd.private_key}},
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in made.items()}


def _database(dsn: str) -> dict[str, Any]:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return {
        "conn_type": "postgres",
        "host": parts["host"],
        "port": int(parts["port"] or 5432),
        "login": parts["user"],
        "password": parts["password"],
        "schema": parts["dbname"],
    }


def _make_platform(dsn: str, s3: S3Server, folder: Path) -> None:
    """Rows in PostgreSQL, images in a bucket, some of both broken or missing."""
    for bucket in (STAGING_BUCKET, PLATFORM_BUCKET, CUSTOMER_BUCKET):
        s3.make_bucket(bucket)
    generate(
        dsn,
        folder,
        sites=SITES,
        orders_per_day=ORDERS_PER_DAY,
        days=DAYS,
        end=dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1),
        seed=7,
        broken_share=0.1,
    )
    client = s3.client()

    def put(file: Path) -> None:
        client.put_object(Bucket=PLATFORM_BUCKET, Key=f"images/{file.name}", Body=file.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, folder.iterdir()))
    shutil.rmtree(folder)
