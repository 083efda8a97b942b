"""Processes that do what the tasks of a run still have to do, in Airflow's order; any of them may be killed.

    python -m tests.faults.run_process

reads lines of `<home> <try>`, forks a process for each, and answers with its exit code. Forked, because a
hundred new processes would import the same modules a hundred times; Airflow's LocalExecutor forks as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import orjson
from upath import UPath

from outfeed.config.load import load_config
from outfeed.connectors.base import Credentials
from outfeed.ledger import Ledger
from outfeed.plan import Plan, Reason
from outfeed.planning import RunRequest
from outfeed.sources import open_source
from outfeed.staging import Staging
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from outfeed.steps.notify import Message, notify
from outfeed.steps.package import package
from outfeed.steps.start import read_plan, start
from outfeed.steps.upload import upload
from outfeed.steps.validate import validate
from outfeed.windows import Window, parse_instant
from tests.faults import kill_points


class Process:
    """One try of all tasks that no earlier process has finished.

    `<home>/request.json` says what is to be done; a line of `<home>/done` is a finished task.
    """

    def __init__(self, home: Path, attempt: str) -> None:
        self.home = home
        self.attempt = attempt
        self.request: dict[str, Any] = json.loads((home / "request.json").read_text())
        self.staging = Staging(UPath(home / "staging" / "run"), attempt)
        self.ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")

    def run(self) -> None:
        """Does the tasks that are not done."""
        done = self.home / "done"
        done.touch()
        self._task("plan", self._plan)
        for name, work in self._tasks(read_plan(self.staging)):
            self._task(name, work)

    def _task(self, name: str, work: Callable[[], object]) -> None:
        done = self.home / "done"
        if name not in done.read_text().splitlines():
            work()
            with done.open("a") as lines:
                lines.write(f"{name}\n")

    def _tasks(self, plan: Plan) -> Iterator[tuple[str, Callable[[], object]]]:
        run = RunContext(plan, self.staging, self.ledger, self.attempt)
        source = open_source(plan.parts[0].dataset, self.request["database"], Credentials())
        images = UPath(self.request["images"])
        groups = range(len(plan.groups))
        for group in groups:
            yield f"extract[{group}]", partial(extract, run, group, source)
        for group in groups:
            yield f"validate[{group}]", partial(validate, run, group, source, images)
        for group in groups:
            yield f"package[{group}]", partial(package, run, group)
        for name in plan.destinations:
            yield f"upload.{name}", partial(upload, run, name, Credentials(), images)
        yield "notify", partial(notify, run, self._send)

    def _plan(self) -> None:
        self.ledger.migrate()
        file = self.home / f"{self.request['customer']}.yaml"
        config = load_config(file)
        window = Window(*map(parse_instant, self.request["window"]))
        start(
            RunRequest(
                self.request["customer"],
                config.all_schedules()[0],
                window,
                "run",
                Reason(self.request["reason"]),
            ),
            config=config,
            config_file=str(file),
            staging=self.staging,
            ledger=self.ledger,
            attempt=self.attempt,
        )

    def _send(self, message: Message) -> None:
        mails = self.home / "mail"
        mails.mkdir(exist_ok=True)
        number = len(list(mails.iterdir()))
        mail = {"to": message.to, "id": message.message_id, "subject": message.subject, "text": message.text}
        (mails / f"{number}.json").write_bytes(orjson.dumps(mail))


def serve(lines: Iterable[str]) -> None:
    """One process after the other; its exit code, negative for a signal, goes to standard output."""
    for line in lines:
        home, number = line.split()
        child = os.fork()
        if not child:
            _in_child(Path(home), number)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _in_child(home: Path, number: str) -> NoReturn:
    code = 1
    try:
        with (
            (home / "log").open("a") as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            os.environ["OUTFEED_HOME"] = str(home)
            os.environ[kill_points.FOLDER] = str(home / "kill-points")
            # A process that is killed leaves its scratch files behind: not on this machine's /tmp.
            tempfile.tempdir = str(home)
            try:
                Process(home, f"{number}-abcdef01").run()
                code = 0
            except Exception:  # noqa: BLE001 - the log is all that is left of this process
                traceback.print_exc()
    finally:
        # Not back into the loop of the one that forked.
        os._exit(code)


if __name__ == "__main__":
    serve(sys.stdin)
