"""What every connector must pass, as docs/connectors.md lists it, and how a test names the case it proves."""

from __future__ import annotations

import dataclasses
import os
from enum import Enum
from pathlib import Path

import pytest

#: What came out, for scripts/connector_page.py.
RESULTS = Path(__file__).resolve().parents[2] / ".outfeed" / "conformance.json"


class Case(Enum):
    """One line of the table each, in its order."""

    WHOLE = "a file arrives whole and verified"
    ABSENT = "absent until it is complete"
    SOURCE_FAILS = "the source fails half-way"
    SOURCE_SHORT = "the source ends early"
    SOURCE_LONG = "the source is longer than declared"
    SOURCE_OTHER = "the source has another digest than declared"
    EMPTY = "zero bytes"
    UNKNOWN_SIZE = "size and digest are not known before"
    ODD_NAMES = "odd names: spaces, leading dash, percent, colon, quotes, other scripts"
    TWIN_NAMES = "the same name in Unicode's composed and decomposed form"
    LONG_NAMES = "names of 255 bytes; a longer one hits only its own file"
    DEEP = "deep paths"
    TRAVERSAL = "a path that leads outside is refused"
    SAME = "exists with the same content"
    OTHER = "exists with other content"
    NO_OVERWRITE = "no permission to overwrite"
    NO_DELETE = "no permission to delete"
    NO_RENAME = "no permission to rename"
    NO_MKDIR = "no permission to make folders"
    FULL = "disk or quota full"
    LISTING = "listing after writing agrees"
    MANY = "many small files"
    LARGE = "one large file, not held in memory"
    PROBED = "what the server lacks is found out once"
    TWO_WRITERS = "two writers of one name"
    KILLED = "a killed try is completed by the next"
    GIVEN_UP = "a delivery that is given up leaves no temporary names"
    PREFLIGHT = "the preflight passes and leaves nothing"
    SECRETS = "no secret in messages"
    EXPLAINED = "errors say where, whose action, and what to do"


def proves(*cases: Case) -> pytest.MarkDecorator:
    """Marks a test, or one of its parameters, with the cases that it is a proof of."""
    return pytest.mark.proves(*cases)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is sent in the cases that are about much.

    Attributes:
        files: of `Case.MANY`.
        large: bytes of `Case.LARGE`.
    """

    name: str
    files: int
    large: int


#: What every run of the tests does, and what `make test-conformance` does: the same tests.
SCALED = Scale("scaled", 500, 300 << 20)
FULL = Scale("full", 10_000, (5 << 30) + (1 << 20) + 1)


def scale() -> Scale:
    """The one that environment variable OUTFEED_CONFORMANCE asks for."""
    return FULL if os.environ.get("OUTFEED_CONFORMANCE") == FULL.name else SCALED


class Cell:
    """What a test has to say of its cell of the table, besides that it passed."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._properties = request.node.user_properties

    def not_applicable(self, why: str) -> None:
        """The case has no meaning there; the test has shown what holds instead."""
        self._properties.append(("not applicable", why))

    def smaller(self, why: str) -> None:
        """Less was sent than elsewhere."""
        self._properties.append(("smaller", why))

    def brought_about(self, how: str) -> None:
        """How the server was made to refuse."""
        self._properties.append(("how", how))
