"""Many small files over SFTP at 30 ms: our connector against Airflow's own hook, in one run.

    python benchmarks/sftp_small_files.py [--files 5000] [--kilobytes 200] [--parallel 64] [--delay 0.03]

Prints JSON. The server is a real OpenSSH on this machine, behind a proxy that adds the round-trip time.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "include")]

from benchmarks.report import Report, arguments, emit, environment, ratios, row  # noqa: E402
from outfeed.connectors import SftpConnector, SftpOptions  # noqa: E402
from outfeed.connectors.base import Credentials, Delivered, Outgoing  # noqa: E402
from tests.servers.proxy import delay_proxy  # noqa: E402
from tests.servers.sshd import SshServer, ssh_server  # noqa: E402

#: What the figures are about: as many photographs as a busy site makes in a day.
FILES, PEER_FILES, SIZE, PARALLEL, DELAY, ROUNDS = 5_000, 60, 200 * 1024, 64, 0.030, 3


def main() -> None:
    """Measures both sides in each round, and prints the report."""
    quick = arguments(__doc__).quick
    files, peer_files, rounds = (100, 5, 1) if quick else (FILES, PEER_FILES, ROUNDS)
    where = environment("asyncssh", "apache-airflow-providers-sftp", "paramiko")
    content = os.urandom(SIZE)
    ours, peers = [], []
    with ssh_server() as server, delay_proxy(server.port, DELAY) as port:
        for _ in range(rounds):
            ours.append(measure_outfeed(server, port, content, files, PARALLEL))
            peers.append(measure_hook(server, port, content, peer_files))
    rates, peer_rates = ([figure["files_per_second"] for figure in side] for side in (ours, peers))
    rows = (
        row(f"SftpConnector, {files} files", rates, "files/s", ">= 200"),
        row(f"SFTPHook.store_file one by one, {peer_files} files", peer_rates, "files/s"),
        row("Outfeed / SFTPHook", ratios(rates, peer_rates), "x", ">= 25"),
        row("peak memory of the process", max(figure["peak_rss_mb"] for figure in ours), "MB", "<= 512"),
    )
    notes = (
        f"{SIZE // 1024} KiB each, {PARALLEL} in flight, {DELAY * 1000:.0f} ms round trip by a proxy in user "
        "space, which delays bytes but does not model loss. Every file is looked at afterwards.",
    )
    emit(Report("sftp_small_files", "Small files over SFTP", where, rows, notes))


def measure_outfeed(
    server: SshServer, port: int, content: bytes, files: int, parallel: int
) -> dict[str, Any]:
    """Connecting, delivering and cleaning up; every file is looked at afterwards."""
    base, folder = server.make_base(f"outfeed-{time.monotonic_ns()}")
    options = SftpOptions(
        type="sftp",
        name="bench",
        sftp_host=server.host,
        sftp_port=port,
        sftp_remote_path=base,
        username=server.username,
        host_public_key=(server.host_public_key,),
        connection="bench",
        parallel=parallel,
    )
    credentials = Credentials(extra={"private_key": server.private_key})
    started, cpu = time.monotonic(), time.process_time()
    with SftpConnector(options, credentials, attempt="bench.1") as connector:
        results = list(connector.deliver(_outgoing(content, files)))
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    delivered = [result for result in results if isinstance(result, Delivered)]
    arrived = [path for path in folder.rglob("*.bin") if path.stat().st_size == len(content)]
    if len(delivered) != files or len(arrived) != files:
        raise SystemExit(f"{files} files sent, {len(delivered)} reported, {len(arrived)} arrived")
    return _figures(files, len(content), seconds, cpu)


def _outgoing(content: bytes, files: int) -> Iterator[Outgoing]:
    for number in range(files):
        yield Outgoing(f"site/inputs/{number}.bin", lambda: io.BytesIO(content), len(content))


def measure_hook(server: SshServer, port: int, content: bytes, files: int) -> dict[str, Any]:
    """Airflow's SFTPHook.store_file, one file after the other: no temporary names, no sync, no digest."""
    os.environ.setdefault("AIRFLOW_HOME", str(ROOT / ".outfeed" / "bench-airflow"))
    base, folder = server.make_base(f"hook-{time.monotonic_ns()}")
    extra = {"private_key": server.private_key, "host_key": server.host_public_key}
    os.environ["AIRFLOW_CONN_BENCH_SFTP"] = json.dumps(
        {
            "conn_type": "sftp",
            "host": server.host,
            "port": port,
            "login": server.username,
            "extra": extra,
        }
    )
    from airflow.providers.sftp.hooks.sftp import SFTPHook

    started, cpu = time.monotonic(), time.process_time()
    hook = SFTPHook(ssh_conn_id="bench_sftp")
    with hook.get_managed_conn():
        for number in range(files):
            hook.store_file(f"{base}/{number}.bin", io.BytesIO(content))
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    arrived = [path for path in folder.iterdir() if path.stat().st_size == len(content)]
    if len(arrived) != files:
        raise SystemExit(f"{files} files sent by the hook, {len(arrived)} arrived")
    return _figures(files, len(content), seconds, cpu)


def _figures(files: int, size: int, seconds: float, cpu: float) -> dict[str, Any]:
    return {
        "files": files,
        "seconds": round(seconds, 2),
        "files_per_second": round(files / seconds, 1),
        "megabytes_per_second": round(files * size / 1e6 / seconds, 1),
        "client_cpu_seconds": round(cpu, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
