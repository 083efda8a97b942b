"""Links in mails: the store that they lead to, and what answers as its pages do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Self

import pytest

from outfeed.connectors import EmailOptions
from outfeed.connectors.base import Credentials
from outfeed.connectors.email_link import PAGES_HEADER
from tests.conformance.places.local import LocalPlace
from tests.servers.process import free_ports
from tests.servers.threads import http_thread


class EmailPlace(LocalPlace):
    """The store of links, in a folder of ours; mails and pages have tests of their own."""

    fixture = "link_store"

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        return cls(request.getfixturevalue(cls.fixture))

    def product(self) -> str:
        return f"our store of links as a folder on {super().product()}"

    def _set_options(self) -> None:
        self.options = EmailOptions(
            type="email", name="email", emails=("bi@customer.example",), storage_uri=str(self.folder)
        )
        self.credentials = Credentials()


@contextlib.contextmanager
def pages_of_links() -> Iterator[str]:
    """The URL of something that answers as our pages with links do."""

    class Pages(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header(PAGES_HEADER, "links")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    (port,) = free_ports(1)
    with http_thread(port, Pages, "pages-of-links"):
        yield f"http://127.0.0.1:{port}"
