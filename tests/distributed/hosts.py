"""Two Celery workers that have nothing in common but the code and the network."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from scripts.airflow_local import LocalAirflow
from scripts.processes import spawn
from tests.servers.process import ROOT_SCRATCH, MissingServerError, binary

#: Where a host sees its own folder; the same path on each, and another folder.
OWN = Path("/tmp")
HOME = OWN / "home"
SLOTS = 2


class Host:
    """One worker machine: its own mounts and host name, a folder of its own as /tmp, all else read-only.

    Attributes:
        folder: what the host has as /tmp, as this process sees it.
    """

    def __init__(self, name: str, folder: Path, airflow: LocalAirflow) -> None:
        self.name = name
        self.folder = folder
        self._airflow = airflow
        self._worker: subprocess.Popen[bytes] | None = None
        for part in ("home/dags", "tmp", "cwd"):
            (folder / part).mkdir(parents=True)

    @property
    def home(self) -> Path:
        """The host's OUTFEED_HOME, as this process sees it."""
        return self.folder / "home"

    def start(self) -> None:
        """Starts the worker; it takes part as soon as it has connected to the broker."""
        command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs"]
        options = ["--concurrency", str(SLOTS), "--celery-hostname", f"worker@{self.name}"]
        self._worker = spawn(
            self.name,
            [*self._entry(), *command, *options],
            self._environment(),
            home=self._airflow.home,
            cwd=self._airflow.home,
            die_with_parent=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command among the mounts that the running worker has."""
        assert self._worker is not None
        enter = [
            binary("nsenter", "apt-get install -y util-linux"),
            "--target",
            str(self._worker.pid),
            "--mount",
        ]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False)

    def kill(self) -> set[int]:
        """Kills the worker and its pool, which supervises its tasks; gives the tasks that live on."""
        assert self._worker is not None
        worker = psutil.Process(self._worker.pid)
        pool = worker.children()
        tasks = {task.pid for child in pool for task in child.children()}
        for process in [worker, *pool]:
            os.kill(process.pid, signal.SIGKILL)
        self._worker.wait(10)
        return {pid for pid in tasks if alive(pid)}

    def complaints(self) -> str:
        """What the tasks that ran here had to say at level warning or worse, for a failed test."""
        found = []
        for log in sorted((self.home / "logs" / "tasks").rglob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                entry = json.loads(line) if line.startswith("{") else {"event": line}
                if entry.get("level") in ("warning", "error", "critical"):
                    errors = [
                        f"{each['exc_type']}: {each['exc_value']}" for each in entry.get("error_detail") or []
                    ]
                    found.append(f"{log.relative_to(self.home)}: {entry['event']} {errors}")
        return "\n".join(found)

    def _entry(self) -> list[str]:
        script = Path(__file__).with_name("host.sh")
        hidden = [self._airflow.home, ROOT_SCRATCH, Path("/var/tmp")]
        return [
            *_unshare(),
            *["sh", str(script), self.name, str(self.folder), str(self._airflow.dags_folder)],
            *[os.pathsep.join(str(folder) for folder in hidden), "--"],
        ]

    def _environment(self) -> dict[str, str]:
        """What all processes have, with this host's folders."""
        here = str(self._airflow.home)
        shared = {name: value.replace(here, str(HOME)) for name, value in self._airflow.env().items()}
        return {**shared, "HOME": str(HOME), "TMPDIR": str(OWN / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


def _unshare() -> list[str]:
    """How to get namespaces; a user who is not root becomes root of a user namespace."""
    unshare = [
        binary("unshare", "apt-get install -y util-linux"),
        "--mount",
        "--uts",
        "--propagation",
        "private",
    ]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise MissingServerError(
            f"hosts without a common disk need mount namespaces, but: {tried.stderr.strip()}; "
            "run these tests as root, or allow it: sysctl kernel.unprivileged_userns_clone=1"
        )
    return unshare


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def two_hosts(airflow: LocalAirflow) -> tuple[Host, Host]:
    """Two hosts whose workers take tasks, until `airflow` is stopped."""
    first, second = (Host(name, airflow.home / "hosts" / name, airflow) for name in ("host-a", "host-b"))
    for host in (first, second):
        host.start()
    wait_until(lambda: len(_workers(airflow.overrides)) == 2, "two workers", 120)
    return first, second


def _workers(settings: Mapping[str, str]) -> Mapping[str, Any]:
    from celery import Celery

    with Celery(broker=settings["AIRFLOW__CELERY__BROKER_URL"], set_as_current=False) as app:
        return app.control.inspect(timeout=1).ping() or {}


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Waits for a condition; raises when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)
