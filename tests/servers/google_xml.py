"""Google's XML API in front of the S3 server: its signature, its condition on writes, what it refuses.

It was written from Google's description of signatures and from what others measured at the real service: a
request with headers of both families is refused (ExcessHeaderValues), `If-None-Match` is ignored on writes,
and `x-goog-if-generation-match: 0` is honoured where an object is put in one request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

from tests.servers.process import free_ports
from tests.servers.s3 import S3Server
from tests.servers.threads import http_thread


@dataclasses.dataclass
class GoogleXml:
    """The running stand-in.

    Attributes:
        requests: method, path and headers in lower case, of every request so far.
        may_overwrite: without the permission to delete, a request on an existing object is refused.
        may_delete: without the permission to delete, objects can't be removed either.
        reports_md5: not so for objects that are encrypted with the customer's own key.
    """

    endpoint: str
    store: S3Server
    access_key: str = "GOOGTESTACCESSKEY"
    secret_key: str = "google-test-secret"
    requests: list[tuple[str, str, dict[str, str]]] = dataclasses.field(default_factory=list)
    may_overwrite: bool = True
    may_delete: bool = True
    reports_md5: bool = True


class _Handler(BaseHTTPRequestHandler):
    google: ClassVar[GoogleXml]
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.google.requests.append((self.command, self.path, headers))
        refusal = _refusal(self.google, self.command, self.path, headers)
        if refusal is not None:
            # What the client goes on to send is not a request.
            self.close_connection = True
            self._answer(refusal[0], f"<Error><Code>{refusal[1]}</Code></Error>".encode())
            return
        try:
            self._forward(headers)
        except ConnectionError:
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _serve  # noqa: N815

    def _forward(self, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.google.store.port, timeout=60)
        try:
            length = {n: v for n, v in headers.items() if n in ("content-length", "transfer-encoding")}
            connection.request(
                self.command,
                self.path,
                body=self._body(headers) if length else None,
                headers=_as_amazon(self.google.store, self.command, self.path, headers) | length,
                encode_chunked="transfer-encoding" in length,
            )
            self._pass_on(connection.getresponse())
        finally:
            connection.close()

    def _pass_on(self, response: http.client.HTTPResponse) -> None:
        bodyless = self.command == "HEAD" or response.status == 204
        size = response.getheader("Content-Length")
        first = b"" if bodyless or size is not None else response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if _is_kept(self.google, name):
                self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", size or str(len(first)))
        self.end_headers()
        self.wfile.write(first)
        while not bodyless and (block := response.read(1 << 16)):
            self.wfile.write(block)

    def _body(self, headers: dict[str, str]) -> Iterator[bytes]:
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
                if size < 0:
                    raise ConnectionError
                yield self._exactly(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        missing = int(headers["content-length"])
        while missing:
            block = self._exactly(min(missing, 1 << 16))
            missing -= len(block)
            yield block

    def _exactly(self, size: int) -> bytes:
        block = self.rfile.read(size)
        if len(block) < size:
            raise ConnectionError
        return block

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence."""


@contextlib.contextmanager
def google_xml(store: S3Server) -> Iterator[GoogleXml]:
    """A stand-in that keeps its objects in `store`."""
    (port,) = free_ports(1)
    google = GoogleXml(f"http://127.0.0.1:{port}", store)
    with http_thread(port, type("Handler", (_Handler,), {"google": google}), "google-xml"):
        yield google


def _is_kept(google: GoogleXml, name: str) -> bool:
    """Of the headers of the store's answer."""
    if name.lower() == "etag":
        return google.reports_md5
    return name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server")


def _refusal(google: GoogleXml, method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
    if any(name.startswith("x-amz-") for name in headers):
        # Each of our requests is signed by x-goog- headers.
        return 400, "ExcessHeaderValues"
    if not _is_signed(google, method, path, headers):
        return 403, "SignatureDoesNotMatch"
    if "x-goog-if-generation-match" in headers and "uploads" in path:
        return 400, "NotImplemented"
    if method == "PUT" and not google.may_overwrite and _exists(google, path):
        return 403, "AccessDenied"
    if method == "DELETE" and not google.may_delete:
        return 403, "AccessDenied"
    return None


def _exists(google: GoogleXml, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", google.store.port, timeout=60)
    try:
        connection.request("HEAD", path, headers=_as_amazon(google.store, "HEAD", path, {}))
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _is_signed(google: GoogleXml, method: str, path: str, headers: dict[str, str]) -> bool:
    """Whether the signature is right and covers the host and every header of Google's."""
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    fields = dict(field.split("=", 1) for field in rest.split(", ") if "=" in field)
    key, _, scope = fields.get("Credential", "").partition("/")
    names = fields.get("SignedHeaders", "").split(";")
    required = {"host", *(name for name in headers if name.startswith("x-goog-"))}
    if algorithm != "GOOG4-HMAC-SHA256" or key != google.access_key or not required <= set(names):
        return False
    parts = urlsplit(path)
    query = sorted((quote(n, "~"), quote(v, "~")) for n, v in parse_qsl(parts.query, True))
    canonical = "\n".join(
        [
            method,
            parts.path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{headers[name].strip()}" for name in sorted(names)),
            "",
            ";".join(names),
            headers["x-goog-content-sha256"],
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{algorithm}\n{headers['x-goog-date']}\n{scope}\n{digest}"
    derived = b"GOOG4" + google.secret_key.encode()
    for step in (headers["x-goog-date"][:8], "auto", "storage", "goog4_request"):
        derived = hmac.new(derived, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature, fields.get("Signature", ""))


def _as_amazon(store: S3Server, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers of the same request to the store, signed as its owner."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    kept = {n: v for n, v in headers.items() if n in ("content-type", "content-md5", "range")}
    if method == "PUT" and headers.get("x-goog-if-generation-match") == "0":
        kept["If-None-Match"] = "*"
    request: Any = AWSRequest(method, f"{store.endpoint}{path}", headers=kept)
    signer = S3SigV4Auth(Credentials(store.access_key, store.secret_key), "s3", store.region)
    signer.payload = lambda _: "UNSIGNED-PAYLOAD"
    signer.add_auth(request)
    return dict(request.headers.items()) | {"Host": f"127.0.0.1:{store.port}"}
