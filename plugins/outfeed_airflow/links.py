"""The pages of links in this installation's API server."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from outfeed.connectors.link_store import LinkStore
    from outfeed.ledger import Ledger


class InstalledLinks:
    """The app with this installation's ledger and connections, made at the first request.

    Every process of Airflow imports the plugin; only the API server needs what this app needs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._opened: Ledger | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @cached_property
    def _app(self) -> ASGIApp:
        from outfeed_airflow.link_app import make_app

        return make_app(self._ledger, open_folder)

    def _ledger(self) -> Ledger:
        from outfeed_airflow import resolve

        with self._lock:
            if self._opened is None:
                opened = self._open.enter_context(resolve.ledger())
                opened.migrate()
                self._opened = opened
            return self._opened


def open_folder(root: str) -> LinkStore:
    """The folder of a URI, with the credentials of the Airflow connection that it names."""
    from outfeed.connectors.link_store import connection_of, open_store
    from outfeed_airflow import resolve

    return open_store(root, resolve.credentials(connection_of(root)))
