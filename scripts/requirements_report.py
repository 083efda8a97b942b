"""docs/requirements.md: every requirement with the tests that carry its ID, and those without any.

An ID belongs to a test if it stands in a comment or the docstring of the test function, or in the comment
lines directly above it. `DX-057 to DX-061` means all of them. Run `python -m scripts.requirements_report`;
with `--check` it only fails if the page is stale.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = {
    "DX": "Work-order data export (document 000)",
    "XX": "What the four documents share",
    "MC": "Map export (document 001)",
    "VI": "Platform data exports (document 002)",
    "TP": "Machine telemetry (document 003)",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef

_ID = r"(?:DX|XX|MC|VI|TP)-[A-Z]?\d{2,3}"
_MENTION = re.compile(rf"\b({_ID})(?:\s+to\s+({_ID}))?\b")

Requirements = dict[str, tuple[str, str]]


def read_requirements(path: Path) -> Requirements:
    """Text and documents of each requirement, by ID, in the file's order."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {row["id"]: (row["requirement"], row["document"]) for row in csv.DictReader(lines)}


def mentions(text: str, known: list[str]) -> Iterator[str]:
    """The IDs that a text names; a range gives every known one in it, an unknown ID is given as it is."""
    for first, last in _MENTION.findall(text):
        if last and first in known and last in known:
            yield from known[known.index(first) : known.index(last) + 1]
        else:
            yield from filter(None, (first, last))


def claims(source: str, known: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of ID and test function (`name`, or `Class::name`) in one file."""
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for name, function in _test_functions(ast.parse(source), ""):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        above = first - 1
        while above in comments:
            above -= 1
        lines = range(above + 1, (function.end_lineno or first) + 1)
        said = [comments.get(line, "") for line in lines]
        for found in mentions("\n".join([*said, ast.get_docstring(function) or ""]), known):
            yield found, name


def _test_functions(
    tree: ast.AST, prefix: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _test_functions(node, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield f"{prefix}{node.name}", node


def collect(root: Path, known: list[str]) -> dict[str, list[str]]:
    """The tests of each ID, as `tests/file.py::function`, in order."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / "tests").rglob("*.py")):
        for requirement, name in claims(path.read_text(encoding="utf-8"), known):
            found.setdefault(requirement, set()).add(f"{path.relative_to(root).as_posix()}::{name}")
    return {requirement: sorted(names) for requirement, names in found.items()}


def page(requirements: Requirements, tests: dict[str, list[str]]) -> str:
    """The page as Markdown."""
    return "\n".join(
        [
            "# Requirements and their tests",
            "",
            "Made from `docs/requirements.csv` and the IDs that stand at tests: do not edit, but run",
            "`python -m scripts.requirements_report`. A test in this list names the requirement; whether it",
            "proves it is for its reader to judge.",
            "",
            *_counts(requirements, tests),
            "",
            "## Without a test yet",
            "",
            *_untested(requirements, tests),
            *(line for family in FAMILIES for line in _section(family, requirements, tests)),
        ]
    )


def _of(family: str, requirements: Iterable[str]) -> list[str]:
    return [requirement for requirement in requirements if requirement.startswith(f"{family}-")]


def _counts(requirements: Requirements, tests: dict[str, list[str]]) -> Iterator[str]:
    yield "| Family | Requirements | With a test | Without |"
    yield "|---|--:|--:|--:|"
    groups = [(f"{family}: {title}", _of(family, requirements)) for family, title in FAMILIES.items()]
    for title, members in [*groups, ("All", list(requirements))]:
        tested = sum(member in tests for member in members)
        yield f"| {title} | {len(members)} | {tested} | {len(members) - tested} |"


def _untested(requirements: Requirements, tests: dict[str, list[str]]) -> Iterator[str]:
    for family in FAMILIES:
        missing = [member for member in _of(family, requirements) if member not in tests]
        if missing:
            yield f"- {family} ({len(missing)}): {', '.join(missing)}"


def _section(family: str, requirements: Requirements, tests: dict[str, list[str]]) -> Iterator[str]:
    yield from ("", f"## {FAMILIES[family]}", "", "| ID | Requirement | Tests |", "|---|---|---|")
    for member in _of(family, requirements):
        text = requirements[member][0].replace("|", "\\|")
        names = "<br>".join(f"`{name}`" for name in tests.get(member, []))
        yield f"| {member} | {text} | {names} |"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Writes the page, or checks it; 1 if it is stale or a test names an ID that does not exist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the page is stale")
    check = parser.parse_args(arguments).check
    requirements = read_requirements(root / "docs" / "requirements.csv")
    tests = collect(root, list(requirements))
    unknown = sorted(set(tests) - set(requirements))
    for requirement in unknown:
        print(f"no such requirement: {requirement} in {', '.join(tests[requirement])}", file=sys.stderr)
    if unknown:
        return 1
    target = root / "docs" / "requirements.md"
    wanted = page(requirements, tests) + "\n"
    if not check:
        target.write_text(wanted, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != wanted:
        print("docs/requirements.md is stale: run python -m scripts.requirements_report", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
