"""The common shape of a benchmark's result, and the page that shows all of them.

Every benchmark prints one JSON document (`emit`); `benchmarks.run_all` keeps it in `results/` and writes
RESULTS.md. A goal that is missed is a row like any other: nothing here judges, and nothing asserts speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, limit: value <= limit,
    ">=": lambda value, limit: value >= limit,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured figure: the median of `rounds`, with the smallest and the largest of them as `spread`."""

    measure: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    rounds: int = 1
    #: `<= 6` or `>= 4`, in the row's unit.
    goal: str | None = None
    met: bool | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    name: str
    title: str
    environment: dict[str, str]
    rows: tuple[Row, ...]
    #: How to read the rows; what was not measured.
    notes: tuple[str, ...] = ()


def row(measure: str, samples: Sequence[float] | float, unit: str, goal: str | None = None) -> Row:
    """A row from the figures of all rounds; a goal is compared with their median."""
    values = [samples] if isinstance(samples, int | float) else list(samples)
    value = statistics.median(values)
    met = None
    if goal is not None:
        operator, limit = goal.split()
        met = _COMPARE[operator](value, float(limit))
    spread = (min(values), max(values)) if len(values) > 1 else None
    return Row(measure, value, unit, spread, len(values), goal, met)


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """The ratio of each round: rounds are paired, because the machine's speed changes between them."""
    return [top / bottom for top, bottom in zip(numerators, denominators, strict=True)]


def environment(*packages: str, **others: str) -> dict[str, str]:
    """Where and when this was measured, and the versions of what was. Call it before anything runs.

    Args:
        packages: names of installed distributions whose versions matter.
        others: versions of programs, by name.
    """
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load average at start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        **others,
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or "unknown"


def arguments(description: str | None) -> argparse.Namespace:
    """The command line that all benchmarks share: `--quick` is a smoke test whose figures mean nothing."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="little data, one round: a smoke test")
    return parser.parse_args()


def emit(report: Report) -> None:
    """Prints the report as one line of JSON: the last line of a benchmark's standard output."""
    print(json.dumps(dataclasses.asdict(report), ensure_ascii=False))


def parse(document: str) -> Report:
    """The report in the last line of a benchmark's output.

    Raises:
        ValueError: if there is none.
    """
    lines = document.strip().splitlines()
    try:
        read = json.loads(lines[-1])
        rows = [Row(**{**found, "spread": _pair(found["spread"])}) for found in read["rows"]]
        return Report(**{**read, "rows": tuple(rows), "notes": tuple(read["notes"])})
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"this is no report: {document[-500:]!r}") from error


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def markdown(reports: Sequence[Report]) -> str:
    """RESULTS.md."""
    heading = [
        "# Measured",
        "",
        "Written by `make bench`; the figures behind it are in `results/`. Medians, with the smallest and",
        "the largest round. Ratios are paired: both sides ran in the same round on the same machine. Goals",
        "that are missed are shown as such.",
    ]
    return "\n".join([*heading, *(line for report in reports for line in _section(report)), ""])


def _section(report: Report) -> list[str]:
    described = ", ".join(f"{name} {value}" for name, value in report.environment.items())
    lines = ["", f"## {report.title}", "", f"`python -m benchmarks.{report.name}`: {described}", ""]
    lines += ["| Measure | Median | Spread | Rounds | Goal | |", "|---|---|---|---|---|---|"]
    lines += [_table_row(found) for found in report.rows]
    return lines + [line for note in report.notes for line in ("", note)]


def _table_row(found: Row) -> str:
    spread = "" if found.spread is None else f"{_number(found.spread[0])} – {_number(found.spread[1])}"
    met = {None: "", True: "met", False: "**not met**"}[found.met]
    value = f"{_number(found.value)} {found.unit}".strip()
    return f"| {found.measure} | {value} | {spread} | {found.rounds} | {found.goal or ''} | {met} |"


def _number(value: float) -> str:
    """Three significant digits, and all of a large number's."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
