"""Google Cloud Storage by its own API, on a stand-in."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from outfeed.connectors import GcsOptions
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import NO_FOLDERS, NO_RENAME, Place, Right, unique
from tests.servers import versions
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.http_proxy import http_proxy


class GcsPlace(Place):
    """Looked at with plain HTTP."""

    fixture = "gcs"
    evidence = "somebody's stand-in of Google Cloud Storage"
    verified = "crc32c"
    largest = (1 << 30, "1 GiB: with each piece the stand-in hashes all that it has, 5 GiB would take hours")
    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": NO_FOLDERS, "rename": NO_RENAME}

    def __init__(self, server: GcsServer) -> None:
        self.server = server
        self.bucket = unique("bucket")
        server.make_bucket(self.bucket)
        self.options = GcsOptions(type="gcs", name="gcs", storage_uri=f"gs://{self.bucket}/testing/")
        self.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": server.endpoint})

    def product(self) -> str:
        return versions.fake_gcs_server()

    def sizes(self) -> dict[str, int]:
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            query = urllib.parse.urlencode({"maxResults": 5000, "pageToken": token})
            url = f"{self.server.endpoint}/storage/v1/b/{self.bucket}/o?{query}"
            with urllib.request.urlopen(url) as answer:
                page = json.load(answer)
            items += page.get("items", [])
            token = page.get("nextPageToken", "")
            if not token:
                break
        # DX-052
        assert all(item["name"].startswith("testing/") for item in items)
        return {item["name"].removeprefix("testing/"): int(item["size"]) for item in items}

    def blocks(self, path: str) -> Iterator[bytes]:
        name = urllib.parse.quote(f"testing/{path}", safe="")
        url = f"{self.server.endpoint}/download/storage/v1/b/{self.bucket}/o/{name}?alt=media"
        with urllib.request.urlopen(url) as answer:
            while block := answer.read(1 << 20):
                yield block

    def put(self, path: str, data: bytes) -> None:
        self.server.client().bucket(self.bucket).blob(f"testing/{path}").upload_from_string(data)

    def remove(self, path: str) -> None:
        self.server.client().bucket(self.bucket).blob(f"testing/{path}").delete()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        def deletes(method: str, path: str) -> tuple[int, str] | None:
            return (403, _GOOGLE_FORBIDDEN) if right == "delete" and method == "DELETE" else None

        def overwrites(method: str, path: str, body: bytes) -> tuple[int, str] | None:
            refused = right == "overwrite" and self._overwrites(method, path, body)
            return (403, _GOOGLE_FORBIDDEN) if refused else None

        with http_proxy(self.server.port, deletes, overwrites) as url:
            self.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": url})
            yield self, "**mocked**: a proxy before the stand-in answers 403"

    def _overwrites(self, method: str, path: str, body: bytes) -> bool:
        """Whether a request would create over an object: Google asks for the right to delete first."""
        starts = method == "POST" and path.startswith("/upload/")
        return starts and any(f'"testing/{name}"'.encode() in body for name in self.names())

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        with gcs_server(megabytes=20) as server:
            place = type(self)(server)
            yield place, 50_000_000, server.give_room, "the stand-in's files on a file system of 20 MB"


_GOOGLE_FORBIDDEN = json.dumps({"error": {"code": 403, "message": "forbidden"}})
