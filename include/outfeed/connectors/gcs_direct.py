"""Small objects sent to Google without what its client spends on each: several times the cost of sending it.

Google's client knows endpoint, identity and certificates; the request is the one that it would make.
"""

from __future__ import annotations

import json
import secrets
import ssl
from typing import Any
from urllib.parse import quote

from outfeed.connectors.http_direct import Connections, Response


class DirectCreates:
    """Guarantees that an answer is certain, and gives none otherwise: then Google's client is to create.

    So the client repeats what can be repeated, renews credentials that are refused, and raises the error
    that is one.

    Args:
        bucket: of Google's client.
        connections: that are kept open.
        timeout: seconds to connect, and to wait for each answer.
    """

    def __init__(self, bucket: Any, connections: int, timeout: tuple[float, float]) -> None:
        from google.auth.transport.requests import Request

        self._client = bucket.client
        self._url = (
            f"{self._client._connection.API_BASE_URL}/upload/storage/v1/b/{quote(bucket.name, safe='')}/o"
            "?uploadType=multipart&ifGenerationMatch=0"
        )
        self._refresh = Request()
        self._connections = self._open(connections, timeout)

    def _open(self, connections: int, timeout: tuple[float, float]) -> Connections | None:
        """The connections; none where a proxy stands between, which is left to the client."""
        import certifi

        settings = self._client._http.merge_environment_settings(self._url, {}, None, None, None)
        known = settings["verify"]
        if settings["proxies"] or not known:
            return None
        authorities = known if isinstance(known, str) else certifi.where()
        tls = ssl.create_default_context(cafile=authorities) if self._url.startswith("https:") else None
        return Connections(self._url, timeout, connections, tls)

    def close(self) -> None:
        """Closes the connections."""
        if self._connections is not None:
            self._connections.close()

    def create(self, name: str, content: bytes, content_type: str, crc32c: str) -> tuple[int, str] | None:
        """Creates an object if its name is free, and if what arrives has this CRC32C.

        Returns:
            Its size and CRC32C as the service reports them; None if Google's client is to create it.

        Raises:
            PreconditionFailed: the name is taken.
        """
        from google.api_core.exceptions import PreconditionFailed

        if self._connections is None:
            return None
        described = json.dumps({"name": name, "contentType": content_type, "crc32c": crc32c})
        boundary = secrets.token_hex(16)
        head = (
            f"--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{described}\r\n"
            f"--{boundary}\r\ncontent-type: {content_type}\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--".encode()
        headers = {"content-type": f'multipart/related; boundary="{boundary}"'}
        self._client._credentials.before_request(self._refresh, "POST", self._url, headers)
        try:
            answer = self._connections.send("POST", self._url, headers, [head, content, tail])
        except OSError:
            return None
        if answer.status == 412:
            raise PreconditionFailed("the name is taken")
        return _reported(answer) if answer.status == 200 else None


def _reported(answer: Response) -> tuple[int, str] | None:
    try:
        made = json.loads(answer.body)
        return int(made["size"]), str(made["crc32c"])
    except (ValueError, KeyError, TypeError):
        return None
