"""Runs each test on every kind of destination, and records what came out, for docs/connectors.md."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cases import FULL, RESULTS, SCALED, Cell, Scale, scale
from tests.conformance.places import PLACES, Place
from tests.conformance.places.email import pages_of_links
from tests.servers.process import scratch

#: Name of the place and title of the case; outcome and what there is to say of it.
Cells = dict[tuple[str, str], dict[str, Any]]
_CELLS = pytest.StashKey[Cells]()
_SERVERS = pytest.StashKey[dict[str, dict[str, Any]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Room for results."""
    config.stash[_CELLS] = {}
    config.stash[_SERVERS] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In full size a test may take long; the time limit is there to end a hang."""
    if scale().name == "full":
        for item in items:
            if item.get_closest_marker("proves"):
                item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Cell:
    """The test's cell of the table."""
    return Cell(request)


@pytest.fixture
def amount() -> Scale:
    """How much is sent where much is sent."""
    return scale()


@pytest.fixture
def link_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of links, with the address of pages that a preflight asks."""
    with scratch("links", root_owned=True) as folder, pages_of_links() as url:
        monkeypatch.setenv("OUTFEED_PUBLIC_URL", url)
        (folder / "store").mkdir()
        yield folder / "store"


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> Place:
    """An empty destination of each kind."""
    made = PLACES[request.param].start(request)
    servers = request.config.stash[_SERVERS]
    if request.param not in servers:
        with made.connector() as connector:
            capabilities = vars(connector.capabilities)
        servers[request.param] = {
            "type": connector.type,
            "product": made.product(),
            "evidence": made.evidence,
            "capabilities": capabilities,
        }
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """Notes the outcome of a test in the cells of its cases; one that failed stays failed."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if "place" in parameters and (report.when == "call" or report.failed):
        for mark in item.iter_markers("proves"):
            for case in mark.args:
                _note(item.config.stash[_CELLS], (parameters["place"], case.value), report)
    return report


def _note(cells: Cells, key: tuple[str, str], report: pytest.TestReport) -> None:
    said = dict(report.user_properties)
    cell = cells.setdefault(key, {"outcome": "passed", "scale": scale().name})
    cell["date"] = dt.datetime.now(dt.UTC).date().isoformat()
    if report.failed:
        cell["outcome"] = "failed"
    elif "not applicable" in said and cell["outcome"] == "passed":
        cell |= {"outcome": "not applicable", "why": said["not applicable"]}
    cell |= {name: said[name] for name in ("how", "smaller") if name in said}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Adds this run's cells to those of earlier ones: a part of the suite can be run alone."""
    cells, servers = session.config.stash[_CELLS], session.config.stash[_SERVERS]
    if not cells:
        return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"places": {}, "cells": {}}
    known["places"] |= servers
    for (place_name, case), cell in cells.items():
        earlier = known["cells"].setdefault(place_name, {})
        if not _says_less(cell, earlier.get(case)):
            earlier[case] = cell
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True))


def _says_less(cell: dict[str, Any], earlier: dict[str, Any] | None) -> bool:
    """Whether a case that passed in full size has only passed once more in the smaller one."""
    if earlier is None or cell["outcome"] == "failed" or earlier["outcome"] == "failed":
        return False
    return (earlier["scale"], cell["scale"]) == (FULL.name, SCALED.name)
