"""A resumable upload to Google that a later try, on any worker, can continue (XX-03).

Google's client begins such an upload, but can't continue one that another process began.
"""

from __future__ import annotations

import re
from typing import Any

from outfeed.errors import TransientError

#: What the service answers to an upload that it does not know (any more), or that was ended.
_GONE = (404, 410, 499)


class SessionGoneError(Exception):
    """The service does not know the upload: it is a week old, or was ended."""


class ResumableSession:
    """Guarantees that what the service has is not sent again, and that it creates no other content than ours.

    Args:
        transport: of Google's client; it signs requests.
        url: of the upload; whoever knows it can send contents there.
        size: of the whole content.
        timeout: seconds to connect, and to wait for each answer.
        location: the place in messages.

    Attributes:
        persisted: how many bytes the service has.
        created: what the service says of the object, when it is there.
    """

    def __init__(
        self, transport: Any, url: str, size: int, timeout: tuple[float, float], location: str
    ) -> None:
        self._transport = transport
        self._url = url
        self._size = size
        self._timeout = timeout
        self._location = location
        self._position = 0
        self._certain = True
        self.persisted = 0
        self.created: dict[str, Any] | None = None

    def ask(self) -> None:
        """Finds out what the service has.

        Raises:
            SessionGoneError: it does not know the upload.
        """
        from google.cloud.storage.retry import DEFAULT_RETRY

        DEFAULT_RETRY(self._ask)()

    def send(self, block: bytes, crc32c: str | None) -> None:
        """Sends what the service lacks of the next block; of the last one, with the CRC32C of the whole.

        Raises:
            SessionGoneError: somebody ended the upload.
            TransientError: the service has less than it said before.
        """
        from google.cloud.storage.retry import DEFAULT_RETRY

        start, self._position = self._position, self._position + len(block)
        while self.created is None and self.persisted < self._position:
            before = self.persisted
            if before < start:
                raise self._fault("the service has lost a part of an upload")
            DEFAULT_RETRY(self._send)(block, start, crc32c)
            if self.created is None and self.persisted <= before:
                raise self._fault("the service takes nothing more of an upload")

    def end(self) -> None:
        """Frees what was sent.

        Raises:
            TransientError: no answer came.
        """
        try:
            self._request("DELETE", b"", {})
        except ConnectionError as error:
            raise self._fault(f"an upload could not be ended ({error})") from error

    def _fault(self, what: str) -> TransientError:
        return TransientError(what, where=self._location, remedy="retried")

    def _ask(self) -> None:
        self._understand(self._put(b"", f"bytes */{self._size}", {}))

    def _send(self, block: bytes, start: int, crc32c: str | None) -> None:
        """One request; after one without an answer, the service is asked what has become of it."""
        if not self._certain:
            self._ask()
        end = start + len(block)
        if self.created is not None or not start <= self.persisted < end:
            return
        hashes = {} if crc32c is None else {"x-goog-hash": f"crc32c={crc32c}"}
        self._certain = False
        lacking = block[self.persisted - start :]
        self._understand(self._put(lacking, f"bytes {self.persisted}-{end - 1}/{self._size}", hashes))

    def _put(self, content: bytes, content_range: str, headers: dict[str, str]) -> Any:
        return self._request("PUT", content, {**headers, "content-range": content_range})

    def _request(self, method: str, content: bytes, headers: dict[str, str]) -> Any:
        """An answer; errors do not tell the URL."""
        import requests

        try:
            return self._transport.request(
                method, self._url, data=content, headers=headers, timeout=self._timeout
            )
        except requests.RequestException as error:
            raise ConnectionError(type(error).__name__) from None

    def _understand(self, answer: Any) -> None:
        from google.api_core.exceptions import from_http_status

        if answer.status_code in (200, 201):
            self.created = answer.json()
        elif answer.status_code == 308:
            found = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("range", ""))
            self.persisted = int(found[1]) + 1 if found else 0
        elif answer.status_code in _GONE:
            raise SessionGoneError
        else:
            raise from_http_status(answer.status_code, answer.text[:500])
        self._certain = True
