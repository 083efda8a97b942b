"""An HTTP reverse proxy that refuses what its rule says: missing permissions, a throttling service."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

from tests.servers.process import free_ports
from tests.servers.threads import http_thread

#: Decides on (method, path with query); None lets the request through, otherwise status and body.
Rule = Callable[[str, str], tuple[int, str] | None]
#: Decides on (method, path with query, body) in the same way.
BodyRule = Callable[[str, str, bytes], tuple[int, str] | None]


@contextlib.contextmanager
def http_proxy(
    target_port: int, rule: Rule, body_rule: BodyRule = lambda method, path, body: None
) -> Iterator[str]:
    """A proxy in front of a port of 127.0.0.1; yields its URL. What one rule refuses is refused."""
    (port,) = free_ports(1)
    target = f"127.0.0.1:{target_port}"
    own = f"127.0.0.1:{port}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self._body()
            refusal = rule(self.command, self.path) or body_rule(self.command, self.path, body)
            if refusal is not None:
                status, text = refusal
                self._answer(status, [("Content-Type", "application/json")], text.encode())
                return
            connection = http.client.HTTPConnection("127.0.0.1", target_port, timeout=60)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "transfer-encoding", "content-length")
            }
            connection.request(self.command, self.path, body=body, headers={**headers, "Host": target})
            response = connection.getresponse()
            content = response.read()
            kept = [
                (name, value.replace(target, own))
                for name, value in response.getheaders()
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server")
            ]
            self._answer(response.status, kept, content)
            connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    with http_thread(port, Handler, "http-proxy"):
        yield f"http://{own}"
