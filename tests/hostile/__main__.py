"""`python -m tests.hostile SEED [--verbose]` tells one story, `--seeds N [--first K]` runs many."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path

from tests.hostile.ground import Ground
from tests.hostile.report import Row, commit, write_stories
from tests.hostile.run import Result, run_seed
from tests.hostile.story import CONNECTORS


def main() -> int:
    """Exit code 1 if something happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("seed", type=int, nargs="*", help="seeds to replay")
    parser.add_argument("--verbose", action="store_true", help="print the logs of the product as well")
    parser.add_argument("--seeds", type=int, default=0, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so many minutes")
    parser.add_argument("--connector", choices=CONNECTORS, help="only this connector")
    parser.add_argument("--counts", type=Path, help="file to which one line per story is added")
    parser.add_argument(
        "--report", type=Path, help="page to write, docs/hostile.md: of all stories in the file of counts"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if not arguments.verbose:
        logging.disable()
    seeds = arguments.seed or range(arguments.first, arguments.first + arguments.seeds)
    end = time.monotonic() + arguments.minutes * 60 if arguments.minutes else float("inf")
    results: list[Result] = []
    code = commit()
    with Ground() as ground:
        for seed in seeds:
            if time.monotonic() > end:
                break
            result = run_seed(ground, seed, (arguments.connector,) if arguments.connector else None)
            results.append(result)
            _tell(result, whole=bool(arguments.seed))
            if arguments.counts:
                with arguments.counts.open("a") as file:
                    file.write(_row(result, code).line())
    _summary(results)
    if arguments.report:
        rows = [_row(result, code) for result in results]
        if arguments.counts:
            rows = [Row.read(line) for line in arguments.counts.read_text().splitlines()]
        write_stories(arguments.report, rows)
    return 1 if any(result.violations for result in results) else 0


def _row(result: Result, code: str) -> Row:
    story = result.story
    return Row(story.seed, story.connector, result.tries, result.outcome, round(result.seconds, 2), code)


def _tell(result: Result, *, whole: bool) -> None:
    if whole or result.violations:
        print("\n".join(result.lines), flush=True)
        for violation in result.violations:
            print(f"VIOLATION: seed {result.story.seed}: {violation}", flush=True)
        print(
            f"{result.outcome} after {result.tries} tries, {result.seconds:.1f} s {result.reason}\n",
            flush=True,
        )


def _summary(results: list[Result]) -> None:
    columns = ("seeds", "tries", "complete", "refused", "gave up", "violation")
    print("".join(f"{column:>11}" for column in ("connector", *columns)))
    for connector in CONNECTORS:
        own = [result for result in results if result.story.connector == connector]
        if own:
            counts = Counter(result.outcome for result in own)
            counts |= {"seeds": len(own), "tries": sum(result.tries for result in own)}
            print("".join(f"{text:>11}" for text in (connector, *(counts[column] for column in columns))))
    slowest = sorted(results, key=lambda result: -result.seconds)[:5]
    told = ", ".join(f"{result.story.seed} ({result.seconds:.1f} s)" for result in slowest)
    print(f"{len(results)} seeds in {sum(result.seconds for result in results):.0f} s; slowest: {told}")


if __name__ == "__main__":
    sys.exit(main())
