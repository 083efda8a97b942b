"""Where a database server is, and as whom it is asked: what its URL and its Airflow connection say."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials


@dataclasses.dataclass(frozen=True)
class Server:
    """A server by the URL `scheme://host:port/database?option=value`; credentials come first."""

    url: str = dataclasses.field(repr=False)
    credentials: Credentials = dataclasses.field(repr=False)
    default_port: int

    @property
    def host(self) -> str:
        """Name or address."""
        return self._parts.hostname or self.credentials.host or "localhost"

    @property
    def port(self) -> int:
        """TCP port."""
        return self._parts.port or self.credentials.port or self.default_port

    @property
    def database(self) -> str:
        """Of the server."""
        return unquote(self._parts.path.lstrip("/"))

    @property
    def login(self) -> str:
        """User; empty if nobody says."""
        return self.credentials.login or unquote(self._parts.username or "")

    @property
    def password(self) -> str:
        """Never in a message."""
        return self.credentials.password or unquote(self._parts.password or "")

    @property
    def options(self) -> dict[str, str]:
        """Those of the URL."""
        return dict(parse_qsl(self._parts.query))

    @property
    def where(self) -> str:
        """The URL without login, password and options, for messages."""
        return f"{self._parts.scheme}://{self.host}:{self.port}{self._parts.path}"

    def without_secrets(self, text: str) -> str:
        """A driver's message that is safe to show."""
        known = (self.password, self._parts.password)
        for secret in filter(None, known):
            text = text.replace(secret, "***")
        return " ".join(text.split())

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)
