"""Sources, found by the dataset that they read. Importing this package imports no database driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outfeed.errors import Action, TerminalError
from outfeed.sources.base import Source
from outfeed.sources.relational import RelationalSource
from outfeed.sources.work_orders import WorkOrdersSource

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials

SOURCES: dict[str, type[Source]] = {source.type: source for source in (RelationalSource, WorkOrdersSource)}


def open_source(dataset: str, url: str, credentials: Credentials, max_parallel: int = 2) -> Source:
    """The source of a dataset, not yet connected.

    Raises:
        TerminalError: for a dataset that no source reads, or a database that none can.
    """
    if dataset not in SOURCES:
        raise TerminalError(
            f"no source reads the dataset {dataset!r}",
            action=Action.ENGINEER,
            remedy=f"use one of: {', '.join(SOURCES)}",
        )
    return SOURCES[dataset](url, credentials, max_parallel=max_parallel)
