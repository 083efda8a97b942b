"""Runs the benchmarks one after the other and writes RESULTS.md; never judges a figure.

python -m benchmarks.run_all [--only NAME] [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.report import Report, markdown, parse

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
BENCHES = (
    "work_orders",
    "tables",
    "tables_peers",
    "platform_night",
    "destinations",
    "many_customers",
    "run_overhead",
)


def run(name: str, *, quick: bool) -> Report:
    """What a benchmark found, run in a process of its own.

    Raises:
        RuntimeError: it failed, or printed no report.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ended with code {done.returncode}: {done.stdout[-2000:]}")
    try:
        return parse(done.stdout)
    except ValueError as error:
        raise RuntimeError(f"{name}: {error}") from error


def keep(report: Report) -> None:
    """The figures stay until the benchmark is run again."""
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps(dataclasses.asdict(report), indent=1, ensure_ascii=False)
    (RESULTS / f"{report.name}.json").write_text(content + "\n")


def kept() -> list[Report]:
    """The latest figures of each benchmark, as far as there are any."""
    files = (RESULTS / f"{name}.json" for name in BENCHES)
    return [parse(json.dumps(json.loads(file.read_text()))) for file in files if file.exists()]


def main(arguments: list[str] | None = None) -> int:
    """0 if every benchmark ran to its end; one that did not leaves its earlier figures as they are."""
    parser = argparse.ArgumentParser(prog="benchmarks.run_all", description="Runs the benchmarks.")
    parser.add_argument("--only", choices=BENCHES, help="run this one, keep the figures of the others")
    parser.add_argument("--quick", action="store_true", help="see that they run; nothing is kept")
    options = parser.parse_args(arguments)
    failed = []
    for name in [options.only] if options.only else BENCHES:
        print(f"== {name}", flush=True)
        try:
            report = run(name, quick=options.quick)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failed.append(name)
            continue
        print(markdown([report]))
        if not options.quick:
            keep(report)
            (HERE / "RESULTS.md").write_text(markdown(kept()))
    if failed:
        print(f"did not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
