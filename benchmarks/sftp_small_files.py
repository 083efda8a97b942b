"""Many small files over SFTP at 30 ms: our connector against Airflow's own hook, in one run.

    python benchmarks/sftp_small_files.py [--files 5000] [--kilobytes 200] [--parallel 64] [--delay 0.03]

Prints JSON. The server is a real OpenSSH on this machine, behind a proxy that adds the round-trip time.
"""

from __future__ import annotations

import argparse
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

from outfeed.connectors import SftpConnector, SftpOptions  # noqa: E402
from outfeed.connectors.base import Credentials, Delivered, Outgoing  # noqa: E402
from tests.servers.proxy import delay_proxy  # noqa: E402
from tests.servers.sshd import SshServer, ssh_server  # noqa: E402


def main() -> None:
    """Runs both and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kilobytes", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.030)
    parser.add_argument("--peer-files", type=int, default=60)
    arguments = parser.parse_args()
    content = os.urandom(arguments.kilobytes * 1024)
    with ssh_server() as server, delay_proxy(server.port, arguments.delay) as port:
        ours = measure_outfeed(server, port, content, arguments.files, arguments.parallel)
        peer = measure_hook(server, port, content, arguments.peer_files)
    ratio = round(ours["files_per_second"] / peer["files_per_second"], 1) if peer else None
    settings = {
        "round_trip_ms": arguments.delay * 1000,
        "kilobytes": arguments.kilobytes,
        "parallel": arguments.parallel,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }
    print(
        json.dumps(
            {"settings": settings, "outfeed": ours, "airflow_sftp_hook": peer, "ratio": ratio}, indent=2
        )
    )


def measure_outfeed(
    server: SshServer, port: int, content: bytes, files: int, parallel: int
) -> dict[str, Any]:
    """Connecting, delivering and cleaning up; every file is looked at afterwards."""
    base, folder = server.make_base("outfeed")
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
    base, folder = server.make_base("hook")
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
