"""What is allowed in a customer's file but worth a second look: warnings, never errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outfeed.config.document import Document
from outfeed.config.models import CustomerConfig
from outfeed.config.problems import Problem
from outfeed.connectors.base import DestinationOptions

#: Words by which people tell environments apart.
_ENVIRONMENTS = frozenset(
    [
        "acceptance",
        "dev",
        "development",
        "live",
        "preprod",
        "preproduction",
        "prod",
        "production",
        "qa",
        "sandbox",
        "stage",
        "staging",
        "test",
        "testing",
        "uat",
    ]
)


def advice(customer: str, config: CustomerConfig, document: Document) -> Iterator[Problem]:
    """Warnings about a valid configuration, at the destination that each belongs to.

    - what the kind of configuration warns of, such as dates without a zone (VI-C15);
    - no folder that separates testing from production (DX-055);
    - whatever each receipt will warn of, such as a server that nobody vouches for (D20);
    - a customer's name that does not serve at a destination (D33, DX-057).
    """
    for key, message, hint in config.warnings():
        yield Problem(*document.place((key,)), message, hint)
    for index, destination in enumerate(config.destinations):
        for message, hint in _of_destination(customer, destination):
            yield Problem(*document.place(("destinations", index, "name")), message, hint)


def _of_destination(customer: str, destination: DestinationOptions) -> Iterator[tuple[str, str]]:
    name = destination.name
    environment = _ENVIRONMENTS.intersection(re.split(r"[^a-z]+", destination.location().lower()))
    if destination.has_base and not environment:
        yield (
            f"destination {name!r} has no folder for its environment",
            "separate testing from production: end the base folder with testing/ or production/",
        )
    warning = destination.warning()
    if warning:
        yield f"destination {name!r}: {warning}", "every receipt will say so"
    problem = destination.name_problem(customer)
    if problem:
        yield f"destination {name!r}: {problem}", "rename the customer's file"
