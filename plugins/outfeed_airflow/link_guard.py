"""What stands before the pages of links: tokens stay out of logs, and guessing ends soon."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders

from outfeed_airflow.link_pages import HEADERS, policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Unknown tokens that a client may try in a minute.
MISSES = 20
_WINDOW = 60.0
#: Clients that are remembered at once.
_CLIENTS = 10_000

_HIDDEN = "/hidden"


class Guard:
    """An ASGI application whose answers have all security headers, and whose path no log outside sees.

    A token is a part of the path, and whoever keeps an access log (uvicorn, Airflow) reads the path from the
    scope when the answer begins or has ended. So the scope that they share loses it before that.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        inner: Scope = dict(scope)
        _hide(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("content-security-policy", policy())
            await send(message)

        await self._app(inner, receive, guarded)


def _hide(scope: Scope) -> None:
    base: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    below = path.removeprefix(base) if base else path
    if below.strip("/"):
        scope["path"] = base + _HIDDEN
        scope["raw_path"] = (base + _HIDDEN).encode()
    # Nothing here takes a query, and somebody might have put a token into it.
    scope["query_string"] = b""


class Misses:
    """Counts unknown tokens for each client; may be used from several threads, takes a bounded memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[float, int]] = {}

    def blocked(self, client: str) -> bool:
        """Whether a client has guessed too often in the last minute."""
        with self._lock:
            began, count = self._clients.get(_network(client), (0.0, 0))
        return count >= MISSES and self._clock() - began < _WINDOW

    def add(self, client: str) -> None:
        """Notes one unknown token."""
        name, now = _network(client), self._clock()
        with self._lock:
            began, count = self._clients.pop(name, (now, 0))
            if now - began >= _WINDOW:
                began, count = now, 0
            # The last one in the dictionary is the one that missed last.
            self._clients[name] = (began, count + 1)
            if len(self._clients) > _CLIENTS:
                del self._clients[next(iter(self._clients))]


def _network(client: str) -> str:
    """One household has 2^64 addresses of IPv6."""
    try:
        address: Any = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return client
