"""The same DAGs on two hosts that share no disk: every run complete, also when one of the hosts dies.

Two workers, each in mount and UTS namespaces of its own; CeleryExecutor, PostgreSQL, Redis; staging and
images in S3; a customer with SFTP and S3. The tests build on each other and run in the order of this file.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from outfeed.ledger.records import AttemptRecord, RunState
from tests.distributed.cluster import (
    CUSTOMER,
    SITES,
    STAGING_BUCKET,
    Cluster,
    Task,
    sha256sum_accepts,
    tree,
)
from tests.distributed.hosts import alive, wait_until

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]

#: Days before today whose windows are delivered: by test export and schedule, by backfill, and in the fault.
#: The last one has two days: it is none of the schedule's, so its parts are not taken for small ones.
LAST, BACKFILLED, FAULTY = 1, (3, 2), (5, 3)


@dataclasses.dataclass
class Runs:
    """Ids of the runs that every test looks at."""

    test: str
    scheduled: str
    backfilled: list[str]

    @property
    def all(self) -> list[str]:
        """All of them."""
        return [self.test, self.scheduled, *self.backfilled]


@pytest.fixture(scope="module")
def runs(two_workers: Cluster) -> Runs:
    """A test export, going live, the first scheduled run, and a backfill of two days."""
    cluster = two_workers
    test = cluster.rest.trigger(CUSTOMER, conf={"reason": "test"})
    cluster.succeed(test)
    cluster.go_live()
    wait_until(lambda: cluster.runs("scheduled"), "the scheduled run")
    first, last = (cluster.midnight(days).isoformat() for days in BACKFILLED)
    cluster.rest.backfill(CUSTOMER, first, last)
    wait_until(lambda: len(cluster.runs("backfill")) == 2, "the backfill")
    made = Runs(test, cluster.runs("scheduled")[0], cluster.runs("backfill"))
    for run_id in made.all:
        cluster.succeed(run_id)
    return made


@pytest.fixture(scope="module")
def delivered(two_workers: Cluster, runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the customer has, by destination."""
    bucket = two_workers.download(tmp_path_factory.mktemp("bucket"))
    return {"partner": two_workers.sftp_folder, "lake": bucket}


def test_the_hosts_share_no_disk(two_workers: Cluster) -> None:
    # Design §2: without this the others would prove nothing.
    first, second = two_workers.hosts
    for host, other in ((first, second), (second, first)):
        secret = other.folder / "tmp" / "only-here"
        secret.write_text(other.name)
        assert "only-here" not in host.run("ls", "/tmp/tmp").stdout.split()
        assert host.run("cat", str(secret)).returncode != 0
        assert other.run("cat", "/tmp/tmp/only-here").stdout == other.name
        secret.unlink()
        for hidden in (two_workers.airflow.home, two_workers.sftp_folder, other.folder):
            assert host.run("ls", "-A", str(hidden)).stdout == "", hidden
        for place in ("/", "/var/tmp", "/root", str(Path(__file__).parent)):
            assert host.run("touch", f"{place}/written").returncode != 0, place
        assert host.run("touch", "/tmp/home/dags/written").returncode != 0
        assert host.run("cat", f"/tmp/home/dags/customers/{CUSTOMER}.yaml").stdout.startswith(
            "type: work-orders"
        )


def test_the_tasks_of_a_run_are_spread_over_both_hosts(two_workers: Cluster, runs: Runs) -> None:
    # Design §2: consecutive tasks may run on different hosts.
    for run_id in runs.all:
        tasks = two_workers.tasks(run_id)
        assert {task.state for task in tasks} == {"success"}
        assert {task.attempt for task in tasks} == {1}, two_workers.complaints()
    # Nobody knew how small the first run's parts were, so each site became a group of its own.
    first = two_workers.tasks(runs.test)
    assert len([task for task in first if task.task_id == "parts.extract"]) == len(SITES)
    assert {task.host for task in first} == {"host-a", "host-b"}
    assert _crossings(first) > 0
    assert sum(_crossings(two_workers.tasks(run_id)) for run_id in runs.all) > _crossings(first)


def _crossings(tasks: list[Task]) -> int:
    """How often one host read records that the other one had staged."""
    crossings = 0
    for writer, reader in itertools.permutations(tasks, 2):
        same_group = writer.map_index == reader.map_index
        handed_over = {
            ("parts.extract", "parts.validate"): same_group,
            ("parts.validate", "parts.package"): same_group,
            ("parts.validate", "upload.partner"): True,
            ("parts.validate", "upload.lake"): True,
        }.get((writer.task_id, reader.task_id), False)
        crossings += handed_over and writer.host != reader.host
    return crossings


def test_nothing_was_staged_on_a_worker(two_workers: Cluster, runs: Runs) -> None:
    # Design §2: tasks never hand over by local disk.
    for host in two_workers.hosts:
        left = {str(file.relative_to(host.folder)) for file in host.folder.rglob("*") if file.is_file()}
        left = {file for file in left if not file.startswith("home/logs/")}
        assert left <= {"home/airflow/airflow.cfg"}
    listed = two_workers.s3.client().list_objects_v2(Bucket=STAGING_BUCKET, Prefix=f"runs/{CUSTOMER}/")
    assert listed["KeyCount"] > 50


@pytest.mark.parametrize("destination", ["partner", "lake"])
def test_each_delivery_is_complete(
    two_workers: Cluster, runs: Runs, delivered: dict[str, Path], destination: str
) -> None:
    # DX-053, DX-064, XX-01
    base = delivered[destination]
    folders = sorted((base / "_outfeed" / "work-orders-timeline").iterdir())
    assert [folder.name for folder in folders] == sorted(
        two_workers.window_name(days, days - 1) for days in (LAST, *BACKFILLED)
    )
    for folder in folders:
        assert (folder / "_SUCCESS").exists()
        sha256sum_accepts(base, folder / "SHA256SUMS")
    listed = {
        line.split("  ", 1)[1]
        for folder in folders
        for line in (folder / "SHA256SUMS").read_text().splitlines()
    }
    own = {f"{folder.relative_to(base)}/{name}" for folder in folders for name in ("_SUCCESS", "SHA256SUMS")}
    assert set(tree(base)) == listed | own, "what no list names, or temporary files"
    images = [path for path in listed if "/inputs/" in path]
    assert len(images) > len(SITES)


@pytest.mark.parametrize("destination", ["partner", "lake"])
def test_each_row_of_the_source_is_delivered_or_rejected(
    two_workers: Cluster, runs: Runs, delivered: dict[str, Path], destination: str
) -> None:
    # DX-066, XX-02: against the platform's tables, not against our own counts.
    base, seen = delivered[destination], 0
    for days in (LAST, *BACKFILLED):
        name = two_workers.window_name(days, days - 1)
        manifest = json.loads((base / "_outfeed" / "work-orders-timeline" / name / "MANIFEST").read_text())
        files = {entry["site_id"]: entry for entry in manifest["files"]}
        assert sorted(files) == sorted(SITES)
        for site, entry in files.items():
            source = two_workers.source_ids(site, two_workers.midnight(days), two_workers.midnight(days - 1))
            assert entry["path"] == f"{site}/data/work-orders-timeline/{name}.json"
            ids = [json.loads(line)["id"] for line in (base / entry["path"]).read_text().splitlines()]
            assert len(ids) == entry["rows"]
            assert entry["rows"] + entry["rejected_rows"] == len(source)
            assert not Counter(ids) - Counter(source)
            seen += entry["rows"]
    assert seen > 0


def test_the_ledger_has_a_receipt_for_each_delivery(two_workers: Cluster, runs: Runs) -> None:
    # XX-03: in PostgreSQL, by runs whose tasks had two hosts; the scheduled run found everything delivered.
    receipts = two_workers.ledger.deliveries(CUSTOMER)
    expected = {
        (destination, run_id, two_workers.midnight(days))
        for destination in ("partner", "lake")
        for run_id, days in (
            (runs.test, LAST),
            *zip(_by_window(two_workers, runs.backfilled), BACKFILLED, strict=True),
        )
    }
    assert {(each.destination, each.run_id, each.start) for each in receipts} == expected
    assert len(receipts) == len(expected)
    for receipt in receipts:
        parts = two_workers.ledger.parts(CUSTOMER, receipt.run_id)
        assert receipt.rows == sum(part.rows_valid or 0 for part in parts)
        assert receipt.rows_rejected == sum(part.rows_rejected or 0 for part in parts)
    attempts = [attempt for run_id in runs.all for attempt in two_workers.ledger.attempts(CUSTOMER, run_id)]
    assert {attempt.state for attempt in attempts} == {RunState.COMPLETE}


def test_a_host_that_dies_in_mid_run_costs_nothing_but_time(
    two_workers: Cluster, runs: Runs, tmp_path: Path
) -> None:
    # XX-03, design §4: its task processes live on while the next try runs, so there are two writers at once.
    cluster = two_workers
    name = cluster.window_name(*FAULTY)
    before = _images(cluster)
    cluster.proxy.delay = 0.5
    run_id = cluster.rest.trigger(
        CUSTOMER,
        conf={
            "reason": "manual",
            "window_start": cluster.midnight(FAULTY[0]).isoformat(),
            "window_end": cluster.midnight(FAULTY[1]).isoformat(),
        },
    )
    wait_until(lambda: _images(cluster) > before + 2, "the first files of a slow upload", 240)
    victim = cluster.host(cluster.task(run_id, "upload.partner").host)
    orphans = victim.kill()
    assert orphans, "no task was left running"
    # However long the next try takes to start, the first one is still at it.
    cluster.proxy.delay = 5

    wait_until(lambda: len(_uploads(cluster, run_id)) == 2, "the second try", 240)
    assert any(alive(pid) for pid in orphans), "the first try ended too early to meet the second"
    assert cluster.task(run_id, "upload.partner").host != victim.name
    cluster.proxy.delay = 0
    cluster.succeed(run_id)
    wait_until(
        lambda: not any(alive(pid) for pid in orphans), "the first try to notice that it is not wanted"
    )

    bases = {"partner": cluster.sftp_folder, "lake": cluster.download(tmp_path)}
    for destination, base in bases.items():
        folder = base / "_outfeed" / "work-orders-timeline" / name
        assert (folder / "_SUCCESS").exists()
        sha256sum_accepts(base, folder / "SHA256SUMS")
        receipts = [each for each in cluster.ledger.deliveries(CUSTOMER) if each.run_id == run_id]
        assert Counter(each.destination for each in receipts)[destination] == 1
    assert tree(bases["partner"]).keys() == tree(bases["lake"]).keys()
    assert len([task for task in cluster.tasks(run_id) if task.task_id == "parts.extract"]) == len(SITES)
    for site in SITES:
        source = cluster.source_ids(site, cluster.midnight(FAULTY[0]), cluster.midnight(FAULTY[1]))
        part = next(each for each in cluster.ledger.parts(CUSTOMER, run_id) if each.key.endswith(site))
        assert part.rows_read == len(source)
    assert [(each.state, each.error) for each in _uploads(cluster, run_id)] == [
        (RunState.FAILED, "superseded"),
        (RunState.COMPLETE, None),
    ]


def _images(cluster: Cluster) -> int:
    """How many images the SFTP server has under their final names."""
    return len(list(cluster.sftp_folder.glob("*/inputs/*")))


def _uploads(cluster: Cluster, run_id: str) -> list[AttemptRecord]:
    """The tries of the upload that is disturbed, oldest first."""
    return [each for each in cluster.ledger.attempts(CUSTOMER, run_id) if each.target == "partner"]


def _by_window(cluster: Cluster, run_ids: list[str]) -> list[str]:
    """The runs in the order of their windows."""
    return sorted(run_ids, key=lambda run_id: cluster.rest.run(CUSTOMER, run_id)["data_interval_start"])
