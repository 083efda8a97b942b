"""docs/connectors.md: what each connector promises, and how it came through the conformance suite.

Made from what `make test-conformance` leaves in .outfeed/conformance.json; refuses to be made from results
that are not complete or not good. Run `python -m scripts.connector_page`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from outfeed.connectors import CONNECTORS
from outfeed.connectors.base import DestinationOptions
from tests.conformance.cases import FULL, RESULTS, SCALED, Case
from tests.conformance.places import PLACES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "connectors.md"

Results = dict[str, Any]
Rows = Iterable[Iterable[str]]

TIERS = {
    "1": "complete or absent; the store itself refuses to overwrite and confirms what it holds by a checksum",
    "2": "complete or absent; the store itself refuses to overwrite; sizes are compared, contents on demand",
    "3": "complete or absent; a name is looked up just before it is given: another writer in these "
    "milliseconds loses its file",
    "4": "files grow under their names, for the server can't rename: only the completion marker tells",
}

_HEAD = """\
# Connectors

Made from the results of `make test-conformance`: do not edit. Each kind of destination goes through the
same tests, `tests/conformance/`, against the server named below.
[adding-a-connector.md](adding-a-connector.md) says how another one joins.

Run on {when}. `make test-conformance` sends {files:,} small files and one of {large:,} bytes (above
5 GiB) to each; `make test`, and so CI, runs **the same tests with {fewer} files and {smaller} MiB**, and
leaves none out. A cell that was filled in the smaller size says so.

No test here has met Amazon S3, Google Cloud Storage or Azure Blob Storage themselves: the column
*evidence* says what stood in for them.

## Tiers

What a connector declares after it has met the server puts the server in a tier.
"""
_AFTER_TIERS = """
An SFTP or FTP server that can't rename is found out at the beginning of each delivery, and is tier 4. An
SFTP server whose rename overwrites is tier 3.

## Kinds of destination
"""
_AFTER_KINDS = """
`put`: an object appears with its last request. `rename`: a file is written aside and then renamed or linked.

## Options
"""


def tier(capabilities: dict[str, Any]) -> str:
    """Which of `TIERS` the declared capabilities amount to."""
    if capabilities["atomic"] == "none":
        return "4"
    if not capabilities["conditional_create"]:
        return "3"
    return "1" if capabilities["checksum"] else "2"


def problems(results: Results) -> list[str]:
    """Why no page can be made from these results: each missing and each failed cell."""
    found = []
    for place in PLACES:
        cells = results["cells"].get(place, {})
        for case in Case:
            outcome = cells.get(case.value, {}).get("outcome", "missing")
            if outcome not in ("passed", "not applicable"):
                found.append(f"{place}: {case.value}: {outcome}")
    return found


def page(results: Results) -> str:
    """The page as Markdown."""
    return "\n".join(
        [
            _head(results),
            *_table(["Tier", "What is promised"], TIERS.items()),
            _AFTER_TIERS,
            *_kinds(results),
            _AFTER_KINDS,
            f"All have {_codes(DestinationOptions.model_fields)}.\n",
            *_options(),
            "\n## Cases\n",
            *_cases(results),
            "\n## What does not apply\n",
            "The test then asserts what holds there instead.\n",
            *_reasons(results, "why", "Why"),
            "\n## What was smaller\n",
            *_reasons(results, "smaller", "Why"),
            "\n## How the servers were made to refuse\n",
            *_reasons(results, "how", "How"),
            "",
        ]
    )


def _head(results: Results) -> str:
    dates = sorted({cell["date"] for cells in results["cells"].values() for cell in cells.values()})
    return _HEAD.format(
        when=dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        files=FULL.files,
        large=FULL.large,
        fewer=SCALED.files,
        smaller=SCALED.large >> 20,
    )


def _kinds(results: Results) -> Iterator[str]:
    header = [
        "Kind",
        "`type`",
        "Tier",
        "Atomic",
        "Overwriting",
        "Checksum",
        "Tested with",
        "Evidence",
    ]
    rows = []
    for name in PLACES:
        place = results["places"][name]
        can = place["capabilities"]
        rows.append(
            [
                f"**{name}**",
                f"`{place['type']}`",
                tier(can),
                can["atomic"],
                "refused by the store" if can["conditional_create"] else "we look first",
                can["checksum"] or "none",
                place["product"],
                place["evidence"],
            ]
        )
    return _table(header, rows)


def _options() -> Iterator[str]:
    rows = []
    for kind, connector in sorted(CONNECTORS.items()):
        own = [
            name
            for name in connector.options_model.model_fields
            if name not in DestinationOptions.model_fields and name != "type"
        ]
        rows.append([f"`{kind}`", _codes(own)])
    return _table(["`type`", "Its own options"], rows)


def _cases(results: Results) -> Iterator[str]:
    rows = [[case.value, *(_cell(results, place, case) for place in PLACES)] for case in Case]
    return _table(["Case", *PLACES], rows)


def _cell(results: Results, place: str, case: Case) -> str:
    cell = results["cells"][place][case.value]
    text = "n/a" if cell["outcome"] == "not applicable" else "passed"
    if "smaller" in cell:
        return f"{text} ({cell['smaller'].partition(':')[0]})"
    much = case in (Case.MANY, Case.LARGE)
    return f"{text} (small size)" if much and cell["scale"] == SCALED.name else text


def _reasons(results: Results, what: str, title: str) -> Iterator[str]:
    """One line for each case and reason, with all places that it is true of."""
    rows = []
    for case in Case:
        places: dict[str, list[str]] = {}
        for place in PLACES:
            reason = results["cells"][place][case.value].get(what)
            if reason:
                places.setdefault(reason, []).append(place)
        rows += [[case.value, ", ".join(names), reason] for reason, names in places.items()]
    return _table(["Case", "Kinds", title], rows)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: list[str], rows: Rows) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def main() -> int:
    """Writes the page, or says what is missing."""
    if not RESULTS.exists():
        print(f"{RESULTS} is missing: run make test-conformance", file=sys.stderr)
        return 1
    results: Results = json.loads(RESULTS.read_text())
    wrong = problems(results)
    if wrong:
        print("no page from these results:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    PAGE.write_text(page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
