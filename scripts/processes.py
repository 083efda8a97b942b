"""Starts processes that are found again, and ends them with all their descendants."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

_PR_SET_PDEATHSIG = 1
#: Seconds; the time of a process's start is derived from a clock that may be set.
_CLOCK_DRIFT = 5


def spawn(
    name: str, command: Sequence[str], env: Mapping[str, str], *, home: Path, cwd: Path, die_with_parent: bool
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own; its output goes to `<home>/logs/<name>.log`."""
    logs, records = home / "logs", home / "run"
    logs.mkdir(parents=True, exist_ok=True)
    records.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_ask_to_die_with_parent() if die_with_parent else None,  # noqa: PLW1509 - one thread
        )
    record = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    (records / f"{name}.json").write_text(json.dumps(record))
    return process


def running(home: Path) -> set[int]:
    """Ids of all living processes that `spawn` started for this home, and of all their descendants.

    They are known by their session: Airflow's children leave their parent's group, orphans lose their parent,
    and Airflow overwrites its processes' environment and command line, but nothing leaves its session.
    """
    sessions = {record["pid"] for record in _records(home) if _is_ours(record)}
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            # In a container nobody may take the dead off the process table.
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def end_all(home: Path, grace: float = 5) -> None:
    """No process of this home is left: those that ignore SIGTERM for `grace` seconds are killed."""
    for record in _records(home):
        if record["pid"] in running(home):
            _signal(record["pid"], signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (left := _reaped(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    while left:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.1)
        left = _reaped(home)
    for file in (home / "run").glob("*.json"):
        file.unlink(missing_ok=True)


def _reaped(home: Path) -> set[int]:
    """What still runs, once those that are our own children have been taken off the process table."""
    for pid in running(home):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return running(home)


def _records(home: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in (home / "run").glob("*.json")]


def _is_ours(record: dict[str, Any]) -> bool:
    """Whether the number still means our session: not after a restart of the machine, nor if it was given to
    another process, which can only happen when our session has no process left.
    """
    if record["created"] < psutil.boot_time():
        return False
    try:
        leader = psutil.Process(record["pid"])
    except psutil.NoSuchProcess:
        return True
    return bool(abs(leader.create_time() - record["created"]) < _CLOCK_DRIFT)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _ask_to_die_with_parent() -> Callable[[], object] | None:
    """Linux ends the process when the one that started it is gone, even by kill -9."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
