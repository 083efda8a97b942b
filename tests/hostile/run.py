"""One story from its first try to its end: real steps, ledger and staging, as Airflow would call them."""

from __future__ import annotations

import dataclasses
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outfeed.errors import OutfeedError, SupersededError, TerminalError
from outfeed.ledger import Ledger
from outfeed.manifest import MANIFEST, delivery_folder
from outfeed.plan import Reason
from outfeed.steps.context import RunContext
from tests.flow.world import World, config
from tests.hostile.ground import Ground, Site
from tests.hostile.oracle import Allowance, Expected, Seen, Verdict, delivered, without_probes
from tests.hostile.patience import patience
from tests.hostile.story import TERMINAL, Story, Trial, tell

#: Undisturbed tries at the end; the first of them must do.
CLEAN_TRIES = 2

#: Tries while something lasts.
LASTING_TRIES = 3

#: Seconds after which a try is taken to hang.
HANGS = 90.0


@dataclasses.dataclass
class Result:
    """How a story ended.

    Attributes:
        outcome: `complete`, `refused` (a person must act) or `gave up` (a fault lasted).
        reason: what the last error said.
        violations: what must not have happened.
        lines: the story, told in order.
    """

    story: Story
    outcome: str = ""
    reason: str = ""
    tries: int = 0
    seconds: float = 0.0
    violations: list[str] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)


def run_seed(ground: Ground, seed: int, connectors: tuple[str, ...] | None = None) -> Result:
    """Tells the story of a seed."""
    story = tell(seed, connectors) if connectors else tell(seed)
    result = Result(story)
    started = time.monotonic()
    telling = _Telling(ground, story, result)
    try:
        telling.tell()
    finally:
        ground.armed.arm(())
        ground.rearm()
        telling.clear()
        result.seconds = time.monotonic() - started
    return result


class _Telling:
    """One story under way."""

    def __init__(self, ground: Ground, story: Story, result: Result) -> None:
        self.ground = ground
        self.story = story
        self.result = result
        self.orphans = False
        self.obstacle: str | None = None
        ground.armed.begin()
        ground.rearm()
        self.site: Site = ground.site(story)
        self.home = ground.home / f"seed-{story.seed}"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        shutil.copy(_empty_ledger(ground), self.home / "ledger.db")
        options = self.site.options.model_dump(mode="json", exclude_none=True) | {"export_images": True}
        settings = config([options], site_id=list(story.sites), empty_window="file")
        self.world = World(self.home, settings, {"place": self.site.credentials})
        self.options = settings.destinations[0]
        self.run, self.expected = self._packaged()
        ground.armed.take_name = self._take_name

    def _packaged(self) -> tuple[RunContext, Expected]:
        story, world = self.story, self.world
        if not story.test_export:
            world.ledger.record_validation("acme", self.options.location(), "an earlier run")
        run = world.plan(Reason.TEST if story.test_export else Reason.SCHEDULED)
        records = {site: story.content(site, size) for site, size in story.sites.items()}
        names = {site: [*story.images[site], *story.missing[site]] for site in story.sites}
        expected = Expected({}, set())
        for part in run.plan.parts:
            site = part.subject
            expected.files[part.data_path(self.options.filename_style)] = records[site]
            for name, size in story.images[site].items():
                content = story.content(f"image {name}", size)
                file = world.images / name
                file.parent.mkdir(parents=True, exist_ok=True)
                # One image store for all sites: the size of a name is that of its last site.
                file.write_bytes(content)
        for part in run.plan.parts:
            for name in story.images[part.subject]:
                expected.files[part.image_path(name)] = (world.images / name).read_bytes()
            expected.missing |= {part.image_path(name) for name in story.missing[part.subject]}
        world.package(run, records, names)
        return run, expected

    # -- somebody else

    def _take_name(self, name: str) -> None:
        path = self.site.relative(name)
        if path.startswith(".") or path.endswith("_SUCCESS"):
            return
        if self._put_foreign(path):
            self.expected.raced.add(path)

    def _put_foreign(self, path: str) -> bool:
        content = f"somebody else's {path}".encode()
        if not self.site.put(path, content):
            return False
        self.expected.foreign[path] = content
        self._say(f"  somebody else creates {path}")
        return True

    def _foreign(self, trial: Trial) -> None:
        folder = delivery_folder(self.run.plan, self.options.filename_style, 1)
        candidates = [*sorted(self.expected.files), f"{folder}/{MANIFEST}"]
        for number in trial.foreign:
            self._put_foreign(candidates[number % len(candidates)])

    def _block(self, trial: Trial) -> None:
        """A file of somebody else's where the folder of one site's data must be."""
        if trial.blocked is None:
            return
        part = self.run.plan.parts[trial.blocked % len(self.run.plan.parts)]
        folder = part.data_path(self.options.filename_style).rpartition("/")[0]
        if self._put_foreign(folder):
            self.obstacle = folder

    def _repair(self) -> None:
        self._say("  somebody repairs it and clears the task")
        if self.obstacle is not None:
            self.site.remove(self.obstacle)
            del self.expected.foreign[self.obstacle]
            self.obstacle = None

    # -- tries

    def tell(self) -> None:
        """All tries, judged one by one."""
        self._say(_headline(self.story, self.expected))
        for number, trial in enumerate(self._trials(), 1):
            self.result.tries = number
            error = self._try(number, trial)
            hits = list(self.ground.armed.hits)
            undisturbed = not hits and not trial.twin and not trial.faults
            self._judge(error, trial, undisturbed=undisturbed)
            if self.result.violations:
                self.result.outcome = "violation"
                return
            if error is None:
                self.result.outcome = "complete"
                self._again()
                return
            self.result.reason = str(error)
            if isinstance(error, TerminalError) and not isinstance(error, SupersededError):
                if not self.story.repaired:
                    self.result.outcome = "refused"
                    return
                self._repair()
        if self.story.lasting:
            self.result.outcome = "gave up"
        else:
            self.result.outcome = "violation"
            self.result.violations.append(f"an undisturbed try does not complete: {self.result.reason}")

    def _trials(self) -> Iterator[Trial]:
        if self.story.lasting:
            yield from self.story.trials * LASTING_TRIES
            if not self.story.repaired:
                return
        else:
            yield from self.story.trials
        for _ in range(CLEAN_TRIES):
            yield Trial()

    def _try(self, number: int, trial: Trial) -> BaseException | None:
        """One try; its error, or None if it delivered."""
        self._say(
            f"try {number}: {'; '.join(map(str, trial.faults)) or 'undisturbed'}"
            f"{'; with an orphan beside it' if trial.twin else ''}"
        )
        armed = self.ground.armed
        armed.hits.clear()
        self.orphans = self.orphans or trial.twin
        self._foreign(trial)
        self._block(trial)
        armed.arm(trial.faults)
        self.ground.rearm()
        names = [f"{number}-orphan", f"{number}-try"] if trial.twin else [f"{number}-try"]
        results: dict[str, BaseException | dict[str, Any]] = {}
        with patience(silent=trial.silent), self.ground.disk(self.story):
            threads = []
            for name in names:
                if threads:
                    self._wait_for_the_first(names[0])
                    time.sleep(random.Random(f"{self.story.seed} {number}").uniform(0, 0.2))
                thread = threading.Thread(target=self._upload, args=(name, results), daemon=True)
                thread.start()
                threads.append(thread)
            for thread in threads:
                thread.join(HANGS)
        armed.arm(())
        self.ground.settle()
        for hit in armed.hits[:12]:
            self._say(f"  {hit}")
        if len(armed.hits) > 12:
            self._say(f"  … and {len(armed.hits) - 12} more")
        self.ground.rearm()
        if any(thread.is_alive() for thread in threads):
            self.result.violations.append(f"try {number} hangs")
        for name in names:
            self._say(f"  {name}: {_told(results.get(name))}")
        for name, found in results.items():
            if isinstance(found, BaseException) and not isinstance(found, OutfeedError):
                self.result.violations.append(f"{name}: unforeseen {type(found).__name__}: {found}")
        last = results.get(names[-1], RuntimeError("no result"))
        return last if isinstance(last, BaseException) else None

    def _wait_for_the_first(self, attempt: str) -> None:
        """Until the ledger knows the orphan, which therefore is the older."""
        end = time.monotonic() + HANGS
        while time.monotonic() < end:
            tries = self.world.ledger.attempts("acme", self.run.plan.run_id)
            if any(known.attempt == attempt for known in tries):
                return
            time.sleep(0.005)

    def _upload(self, attempt: str, results: dict[str, Any]) -> None:
        try:
            results[attempt] = self.world.upload(self.run, "place", attempt)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
            results[attempt] = error

    def _judge(self, error: BaseException | None, trial: Trial, *, undisturbed: bool) -> None:
        verdict = Verdict(
            expected=self.expected,
            allowance=self._allowance(),
            ledger=self.home / "ledger.db",
            location=self.options.location(),
            held=self.site.holdings(),
            seen=self._seen(),
        )
        verdict.after_a_try()
        if error is None:
            verdict.after_success(undisturbed=undisturbed)
        else:
            verdict.after_failure()
            verdict.problems += self._misjudged(error, trial)
        self.result.violations += [f"try {self.result.tries}: {problem}" for problem in verdict.problems]
        for problem in verdict.problems:
            self._say(f"  VIOLATION {problem}")

    def _misjudged(self, error: BaseException, trial: Trial) -> list[str]:
        """Whether an error says what it must, and whether somebody is called without need."""
        if not isinstance(error, OutfeedError):
            return [f"an error that nobody foresaw: {type(error).__name__}: {error}"]
        problems = []
        credentials = self.site.credentials
        for secret in (credentials.password, credentials.extra.get("private_key")):
            if secret and secret in str(error):
                problems.append("the error tells a secret")
        if isinstance(error, SupersededError):
            return [*problems, f"the newest try is called superseded: {error}"]
        if isinstance(error, TerminalError):
            kinds = {fault.kind for fault in trial.faults}
            if not kinds & TERMINAL and self.obstacle is None and not _caught(str(error), kinds):
                problems.append(f"a fault that passes stops the run for good: {error}")
            if not error.remedy:
                problems.append(f"nobody is told what to do: {error}")
        return problems

    def _allowance(self) -> Allowance:
        story = self.story
        unseen = story.verify == "size" and story.connector in ("sftp", "ftp", "ftps")
        return Allowance(
            overwrites=story.server in ("ftp", "sftp overwrites"),
            grows=story.server == "ftp no rename",
            orphans=self.orphans,
            unseen_bits=self.ground.armed.flipped if unseen else 0,
        )

    def _seen(self) -> Seen:
        armed, relative = self.ground.armed, self.site.relative
        told: dict[str, set[int]] = {}
        for name, sizes in armed.told.items():
            told.setdefault(relative(name), set()).update(sizes)
        return Seen(told, frozenset(map(relative, armed.crossed)))

    def _again(self) -> None:
        """A finished task that is cleared finds nothing to do but to remove what is left of dead tries."""
        if not self.story.again:
            return
        before = delivered(self.site.holdings())
        error = self._try(self.result.tries + 1, Trial())
        if error is not None or without_probes(self.site.holdings()) != before:
            self.result.outcome = "violation"
            self.result.violations.append(f"a second run of the finished task changed something: {error}")

    def _say(self, line: str) -> None:
        self.result.lines.append(line)

    def clear(self) -> None:
        """Removes what the story has left."""
        self.world.ledger.close()
        self.site.clear()
        shutil.rmtree(self.home, ignore_errors=True)


def _caught(error: str, kinds: set[str]) -> bool:
    """Whether a test export caught a server that alters what it gets: then a person must look."""
    if "the test export delivered" in error or "preflight failed at 'size'" in error:
        return "wrong size" in kinds
    return "preflight failed at 'read back'" in error and bool(kinds & {"short write", "flip"})


def _empty_ledger(ground: Ground) -> Path:
    template = ground.home / "empty-ledger.db"
    if not template.exists():
        ledger = Ledger(f"sqlite:///{template}")
        ledger.migrate()
        ledger.close()
    return template


def _headline(story: Story, expected: Expected) -> str:
    sizes = ", ".join(str(len(content)) for content in expected.files.values())
    details = [
        story.server,
        f"verify {story.verify}",
        f"parallel {story.parallel}",
        *(["test export"] if story.test_export else []),
        *(["what fails lasts"] if story.lasting else []),
        *([] if story.repaired else ["nobody repairs"]),
    ]
    told = f"{story.connector} ({', '.join(details)})"
    return f"seed {story.seed}: {told}; {len(expected.files)} files of {sizes} bytes"


def _told(result: BaseException | dict[str, Any] | None) -> str:
    if isinstance(result, dict):
        return f"{result['outcome']}, revision {result['revision']}"
    return f"{type(result).__name__}: {result}"
