"""docs/connectors.md can't go stale unseen: it names every connector and case, and each case has a test."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from outfeed.connectors import CONNECTORS
from scripts import connector_page
from tests.conformance import test_connectors, test_refusals
from tests.conformance.cases import Case
from tests.conformance.places import PLACES

PASSED = {"outcome": "passed", "scale": "full", "date": "2026-03-27"}
CAPABILITIES = {"atomic": "put", "conditional_create": True, "checksum": "sha256", "temporary": False}
GOOD: dict[str, Any] = {
    "places": {
        name: {
            "type": "s3",
            "product": f"Server of {name}",
            "evidence": "the real thing",
            "capabilities": CAPABILITIES,
        }
        for name in PLACES
    },
    "cells": {name: {case.value: dict(PASSED) for case in Case} for name in PLACES},
}


def _row(text: str, case: Case) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {case.value} | ")]
    return lines[0].strip("| ").split(" | ")


def test_the_page_has_every_connector_and_every_case() -> None:
    text = connector_page.PAGE.read_text()
    for kind in CONNECTORS:
        assert f"| `{kind}` |" in text, f"run make test-conformance: {kind} is not on the page"
    for case in Case:
        cells = _row(text, case)[1:]
        assert len(cells) == len(PLACES), f"run make test-conformance: {case.value} is not on the page"
        assert {cell.partition(" ")[0] for cell in cells} <= {"passed", "n/a"}
    for name in PLACES:
        assert f"| **{name}** |" in text


def test_every_connector_has_a_place() -> None:
    without = set(CONNECTORS) - {name.partition("-")[0] for name in PLACES}
    assert without <= set(), f"add a Place for {without} to tests/conformance/places/"


def test_every_case_is_proved_by_a_test() -> None:
    marks = {
        case
        for module in (test_connectors, test_refusals)
        for name, test in vars(module).items()
        if name.startswith("test_")
        for mark in _marks(test)
        if mark.name == "proves"
        for case in mark.args
    }
    assert marks == set(Case)


def _marks(test: Any) -> list[pytest.Mark]:
    """Those of a test and of its parameters."""
    found = list(test.pytestmark)
    for mark in test.pytestmark:
        if mark.name == "parametrize":
            found += [inner.mark for value in mark.args[1] for inner in getattr(value, "marks", ())]
    return found


def test_cells_say_what_came_out() -> None:
    results = copy.deepcopy(GOOD)
    results["cells"]["s3"][Case.NO_MKDIR.value] |= {"outcome": "not applicable", "why": "no folders"}
    results["cells"]["ftp"][Case.MANY.value]["scale"] = "scaled"
    results["cells"]["gcs"][Case.LARGE.value]["smaller"] = "1 GiB: it takes hours"
    results["cells"]["sftp"][Case.FULL.value]["how"] = "a small disk"
    assert connector_page.problems(results) == []
    text = connector_page.page(results)

    column = {name: number + 1 for number, name in enumerate(PLACES)}
    assert _row(text, Case.NO_MKDIR)[column["s3"]] == "n/a"
    assert _row(text, Case.NO_MKDIR)[column["gcs"]] == "passed"
    assert _row(text, Case.MANY)[column["ftp"]] == "passed (small size)"
    assert _row(text, Case.LARGE)[column["gcs"]] == "passed (1 GiB)"
    assert f"| {Case.NO_MKDIR.value} | s3 | no folders |" in text
    assert f"| {Case.FULL.value} | sftp | a small disk |" in text


def test_no_page_is_made_from_what_is_missing_or_failed() -> None:
    results = copy.deepcopy(GOOD)
    results["cells"]["gcs"][Case.DEEP.value]["outcome"] = "failed"
    del results["cells"]["local"][Case.SAME.value]
    assert connector_page.problems(results) == [
        f"local: {Case.SAME.value}: missing",
        f"gcs: {Case.DEEP.value}: failed",
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "1"),
        ({"checksum": None}, "2"),
        ({"conditional_create": False}, "3"),
        ({"atomic": "none", "conditional_create": False}, "4"),
    ],
)
def test_what_is_declared_makes_the_tier(changed: dict[str, Any], expected: str) -> None:
    assert connector_page.tier(CAPABILITIES | changed) == expected
