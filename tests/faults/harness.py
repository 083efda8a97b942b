"""Runs in processes of their own, and what they leave: delivered bytes and facts of the ledger."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Self

from tests.faults import kill_points

ROOT = Path(__file__).resolve().parents[2]

#: What of each table must not depend on how often a run was interrupted: all but times and numbers of tries.
_FACTS = {
    "runs": "customer, run_id, reason, start, end, dataset, config_sha256, state, error",
    "parts": "customer, run_id, key, state, rows_read, rows_valid, rows_rejected, bytes, sha256, unplaced, "
    "images, images_missing, error, action",
    "part_weights": "customer, key, bytes",
    # How equality was established differs: a file that is found there is read back.
    "files": "customer, location, path, logical_path, revision, kind, state, run_id, destination, part, "
    "rows, bytes, sha256, supersedes",
    "deliveries": "customer, destination, location, run_id, reason, start, end, dataset, revision, "
    "manifest_path, files, images, images_missing, rows, rows_rejected, bytes, supersedes, warning",
    "validations": "customer, location, run_id",
    "notifications": "customer, run_id, kind, address",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What a run is asked to do.

    Attributes:
        config: text of the customer's YAML.
        database: URL of the platform's database.
        images: folder of the platform's images.
    """

    customer: str
    config: str
    window: tuple[str, str]
    reason: str
    database: str
    images: str


class Processes:
    """Starts the processes in which runs take place; a context manager."""

    def __init__(self) -> None:
        environment = os.environ | kill_points.environment(Path(os.devnull), [ROOT / "include", ROOT])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.run_process"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, home: Path, number: int) -> int:
        """Exit code of one process that works in a home folder; negative for the signal that ended it."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{home} {number}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()


class Runs:
    """A home folder in which processes work on one run until it is done."""

    def __init__(self, home: Path, request: Request, processes: Processes) -> None:
        self.home = home
        self.home.mkdir(parents=True)
        self.armed = home / "kill-points"
        (home / "request.json").write_text(json.dumps(dataclasses.asdict(request)))
        (home / f"{request.customer}.yaml").write_text(request.config)
        self._customer = request.customer
        self._processes = processes
        self._tries = 0

    def process(self, expected: int) -> None:
        """One process; it ends when all is done, or by a signal."""
        self._tries += 1
        code = self._processes.run(self.home, self._tries)
        assert code == expected, (
            f"exit code {code}, not {expected}:\n{(self.home / 'log').read_text()[-4000:]}"
        )

    def undisturbed(self) -> Outcome:
        """The outcome of a run that nothing interrupts."""
        self.process(expected=0)
        return self.outcome()

    def killed_at(self, *places: str) -> Outcome:
        """The outcome of a run that is killed once at each place, in order, and tried again each time."""
        for number, place in enumerate(places, 1):
            kill_points.arm(self.armed, place)
            self.process(expected=-signal.SIGKILL)
            assert len(kill_points.killed(self.armed)) == number
        self.process(expected=0)
        return self.outcome()

    def outcome(self) -> Outcome:
        """What is there now."""
        mails = [json.loads(file.read_text()) for file in sorted((self.home / "mail").iterdir())]
        return Outcome(
            tree=everything_below(self.home / "delivered", self._customer),
            facts=facts(self.home / "ledger.db"),
            mails=Counter((mail["to"], mail["id"], mail["subject"], mail["text"]) for mail in mails),
        )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run has left.

    Attributes:
        tree: content by path below the delivered folders; None for a folder.
        facts: rows by table.
        mails: how often each mail was sent, by address, Message-ID, subject and text.
    """

    tree: dict[str, bytes | None]
    facts: dict[str, list[tuple[Any, ...]]]
    mails: Counter[tuple[str, str, str, str]]


def everything_below(folder: Path, only: str = "") -> dict[str, bytes | None]:
    """Every file with its bytes, and every folder, also empty and hidden ones; by path below `folder`."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted((folder / only).rglob("*"))
    }


def facts(ledger: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the ledger's database says, read without the product."""
    with sqlite3.connect(ledger) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {_quoted(columns)} FROM {table}").fetchall(), key=repr)
            for table, columns in _FACTS.items()
        }


def open_attempts(ledger: Path) -> list[tuple[Any, ...]]:
    """Tries that the ledger takes for running."""
    with sqlite3.connect(ledger) as connection:
        query = "SELECT step, target, attempt FROM attempts WHERE state = 'running'"
        return connection.execute(query).fetchall()


def _quoted(columns: str) -> str:
    return ", ".join(f'"{column}"' for column in columns.split(", "))
