"""What was started is ended, whatever became of those who started it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from scripts.processes import end_all, running, spawn

#: A process that leaves a child in a group of its own, deaf to SIGTERM, as Airflow's task processes are.
FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
    if os.fork() == 0:
        open(sys.argv[1], "w").close()
time.sleep(600)
"""


def _start(home: Path, name: str) -> int:
    ready = home / f"{name}.ready"
    process = spawn(
        name,
        [sys.executable, "-c", FAMILY, str(ready)],
        dict(os.environ),
        home=home,
        cwd=home,
        die_with_parent=False,
    )
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process.pid


@pytest.mark.parametrize("leader_dies_first", [False, True])
def test_no_orphan_is_left(leader_dies_first: bool, tmp_path: Path) -> None:
    pid = _start(tmp_path, "family")
    assert len(running(tmp_path)) == 3
    if leader_dies_first:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert len(running(tmp_path)) == 2
    family = running(tmp_path)
    end_all(tmp_path, grace=0.5)
    assert running(tmp_path) == set()
    assert not [
        p for p in family if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE
    ]


def test_only_processes_of_the_same_home_are_ended(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for home in (one, other):
        home.mkdir()
        _start(home, "family")
    try:
        end_all(one, grace=0.2)
        assert running(one) == set()
        assert len(running(other)) == 3
    finally:
        end_all(other, grace=0)
