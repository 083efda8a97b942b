"""Staging's promises on every kind of storage that it may lie on, each a real server."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from upath import UPath

from outfeed.errors import TerminalError
from outfeed.staging import Staging
from outfeed.steps.housekeeping import remove_expired
from tests.servers.gcs import GcsServer
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

KINDS = ["file", "s3", "gs"]
_COUNT = itertools.count()


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """An empty place."""
    if request.param == "file":
        return UPath(tmp_path / "staging")
    bucket = f"staging-{next(_COUNT)}"
    server = request.getfixturevalue("s3" if request.param == "s3" else "gcs")
    server.make_bucket(bucket)
    return _open(server, bucket)


@pytest.fixture(params=["s3", "gs"])
def missing_bucket(request: pytest.FixtureRequest) -> tuple[UPath, Callable[[], list[str]]]:
    """A place in a bucket that does not exist, and how to ask for the buckets that do."""
    server = request.getfixturevalue("s3" if request.param == "s3" else "gcs")

    def buckets() -> list[str]:
        if isinstance(server, S3Server):
            return [bucket["Name"] for bucket in server.client().list_buckets()["Buckets"]]
        return [bucket.name for bucket in server.client().list_buckets()]

    return _open(server, "mistyped"), buckets


def _open(server: S3Server | GcsServer, bucket: str) -> UPath:
    if isinstance(server, S3Server):
        return UPath(
            f"s3://{bucket}/runs",
            key=server.access_key,
            secret=server.secret_key,
            client_kwargs={"endpoint_url": server.endpoint, "region_name": server.region},
            skip_instance_cache=True,
        )
    return UPath(
        f"gs://{bucket}/runs",
        endpoint_url=server.endpoint,
        token="anon",
        project="test",
        skip_instance_cache=True,
    )


def test_the_first_result_of_a_step_stays(root: UPath) -> None:
    # XX-03: a retry finds what an earlier try has finished, and continues from there.
    first, second = Staging(root, "1-a"), Staging(root, "2-b")
    assert first.result("extract", "timeline/site") is None
    assert first.publish("extract", "timeline/site", {"rows": 1}) == {"rows": 1}
    assert second.publish("extract", "timeline/site", {"rows": 2}) == {"rows": 1}
    assert second.result("extract", "timeline/site") == {"rows": 1}
    assert second.result("extract", "timeline/other") is None


def test_of_tries_that_finish_at_once_one_wins_and_all_know_it(root: UPath) -> None:
    # XX-03: an orphan of a dead worker and the next try may finish in the same instant.
    for lap in range(2):
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(
                pool.map(
                    lambda n, lap=lap: Staging(root, str(n)).publish("extract", f"{lap}", {"try": n}),
                    range(4),
                )
            )
        assert all(outcome == outcomes[0] for outcome in outcomes), outcomes
        assert Staging(root, "reader").result("extract", f"{lap}") == outcomes[0]


def test_two_tries_write_beside_each_other(root: UPath) -> None:
    # XX-03: neither can damage what the other stages.
    paths: dict[str, str] = {}
    for attempt in ("1-a", "2-b"):
        path, stream = Staging(root, attempt).open_write("extract", "timeline/site", "records.jsonl")
        with stream:
            stream.write(attempt.encode() * 1000)
        paths[attempt] = path
    assert paths["1-a"] != paths["2-b"]
    for attempt, path in paths.items():
        with Staging(root, "3-c").open_read(path) as stream:
            assert stream.read() == attempt.encode() * 1000


def test_a_large_file_comes_back_whole(root: UPath) -> None:
    # Larger than one request of an object store, and read in other blocks than it was written.
    staging = Staging(root, "1-a")
    block = bytes(range(256)) * 4096
    path, stream = staging.open_write("validate", "site", "records.jsonl")
    with stream:
        for number in range(20):
            stream.write(number.to_bytes(4) + block)
    with staging.open_read(path) as stream:
        for number in range(20):
            assert stream.read(4) == number.to_bytes(4)
            assert stream.read(len(block)) == block
        assert stream.read() == b""


def test_lines_are_read_like_those_of_any_file(root: UPath) -> None:
    lines = [b"%d\n" % number for number in range(1000)]
    path, stream = Staging(root, "1-a").open_write("extract", "site", "images.txt")
    with stream:
        stream.writelines(lines)
    with Staging(root, "2-b").open_read(path) as stream:
        assert stream.readline() == lines[0]
        some = stream.readlines(100)
        assert 1 < len(some) < 60
        assert [lines[0], *some, *stream] == lines


def test_what_has_expired_goes(root: UPath) -> None:
    # XX-09
    staging = Staging(root / "acme" / "run", "1-a")
    for name in ("records.jsonl", "quarantine.jsonl"):
        path, stream = staging.open_write("validate", "site", name)
        with stream:
            stream.write(b"12345")
    now = dt.datetime.now(dt.UTC)
    assert remove_expired(root, now + dt.timedelta(days=6)) == {"files": 0, "bytes": 0}
    assert remove_expired(root, now + dt.timedelta(days=8)) == {"files": 1, "bytes": 5}
    assert [PurePosixPath(path).name for path in root.fs.find(root.path)] == ["quarantine.jsonl"]
    assert remove_expired(root, now + dt.timedelta(days=31)) == {"files": 1, "bytes": 5}
    assert not staging.path(path).exists()


def test_what_was_never_staged_is_not_found(root: UPath) -> None:
    with (
        pytest.raises(FileNotFoundError),
        Staging(root, "1-a").open_read("extract/site/try=1-a/records.jsonl") as it,
    ):
        it.read()


def test_a_mistyped_bucket_is_an_error_and_is_not_created(
    missing_bucket: tuple[UPath, Callable[[], list[str]]],
) -> None:
    root, buckets = missing_bucket
    staging = Staging(root, "1-a")
    with pytest.raises(OSError, match=r"(?i)bucket|not found|mistyped"):
        staging.publish("plan", "run", {"rows": 1})

    def write() -> None:
        _, stream = staging.open_write("extract", "site", "records.jsonl")
        with stream:
            stream.write(b"x")

    with pytest.raises(OSError, match=r"(?i)bucket|not found|mistyped"):
        write()
    assert "mistyped" not in buckets()


class _Unconditional:
    """A file system that can only overwrite."""

    protocol = "dav"

    def pipe_file(self, path: str, value: bytes) -> None:
        raise AssertionError("wrote without a condition")


class _Path:
    """The part of a path that `Staging` uses."""

    path = "/done.json"
    fs: Any = _Unconditional()

    def __truediv__(self, key: str) -> _Path:
        return self


def test_storage_that_can_only_overwrite_is_refused() -> None:
    # Design §2: publishing needs a conditional create.
    with pytest.raises(TerminalError, match=r"can't create a file conditionally .*stage on file://, s3://"):
        Staging(_Path(), "1-a").publish("plan", "run", {})
