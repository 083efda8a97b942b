"""HTTP requests that carry a content, over connections that stay open.

For what is sent many thousand times: a general client spends several times as much on a small content as
sending it costs, and gives up Python's lock several times as often.
"""

from __future__ import annotations

import dataclasses
import select
import socket
import ssl
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

#: Up to so many bytes are copied, so that they leave in one piece with what is before and behind them.
_ONE_PIECE = 256 << 10

#: Bytes of the longest answer that is read.
_LONGEST = 1 << 20


@dataclasses.dataclass(frozen=True)
class Response:
    """A whole answer.

    Attributes:
        headers: their names are in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def host_and_target(url: str) -> tuple[str, str]:
    """What a request for a URL says of the server and of what is there; its path begins with a slash."""
    host, slash, target = url.partition("//")[2].partition("/")
    return host, slash + target


class Connections:
    """Guarantees that an answer is whole and belongs to its request; several threads may send at once.

    Args:
        url: one of the server; scheme, host and port count.
        timeout: seconds to connect, and to wait for each answer.
        keep: connections that stay open.
        tls: for `https`.
    """

    def __init__(self, url: str, timeout: tuple[float, float], keep: int, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or (443 if tls else 80))
        self._connect_timeout, self._timeout = timeout
        self._keep = keep
        self._tls = tls
        self._idle: deque[socket.socket] = deque()

    def close(self) -> None:
        """Closes the connections; nobody may be sending."""
        while self._idle:
            self._idle.pop().close()

    def send(self, method: str, url: str, headers: Mapping[str, str], content: Sequence[bytes]) -> Response:
        """Sends a request once; its host and length are added to its headers.

        Raises:
            OSError: no whole answer came, so what the server did is not known.
        """
        host, target = host_and_target(url)
        length = sum(map(len, content))
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        pieces = ["\r\n".join([*lines, "\r\n"]).encode("latin-1"), *content]
        connection = self._connection()
        try:
            for piece in [b"".join(pieces)] if length <= _ONE_PIECE else pieces:
                connection.sendall(piece)
            response, reusable = _read(connection)
        except BaseException:
            connection.close()
            raise
        if reusable and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _connection(self) -> socket.socket:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open()
            if not _is_readable(connection):
                return connection
            connection.close()

    def _open(self) -> socket.socket:
        connection = socket.create_connection(self._address, self._connect_timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._address[0])
                connection.settimeout(self._timeout)
            else:
                _limit_waiting(connection, self._timeout)
        except BaseException:
            connection.close()
            raise
        return connection


def _limit_waiting(connection: socket.socket, seconds: float) -> None:
    """Has the system end what takes too long; Python would ask before each call whether it would wait.

    TLS needs Python's own limit: without it, Python calls again when the system has ended a call.
    """
    connection.settimeout(None)
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _is_readable(connection: socket.socket) -> bool:
    """Whether something came that nobody asked for: as a rule, the end, and never an answer to us."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class _Message:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True

    @property
    def has_known_end(self) -> bool:
        """Whether the server can go on with another answer, and means to."""
        ends = "content-length" in self.headers or "transfer-encoding" in self.headers
        return ends and "close" not in self.headers.get("connection", "").lower()


def _read(connection: socket.socket) -> tuple[Response, bool]:
    """The answer, and whether the connection can be used again."""
    import httptools

    message = _Message()
    parser: Any = httptools.HttpResponseParser(message)
    received = 0
    # One with a status below 200 announces another one.
    while not message.complete or parser.get_status_code() < 200:
        block = connection.recv(65_536)
        received += len(block)
        if not block or received > _LONGEST:
            raise ConnectionError("the answer is not whole")
        try:
            parser.feed_data(block)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ConnectionError("the answer is not HTTP") from error
    reusable = message.has_known_end and parser.get_http_version() == "1.1"
    return Response(parser.get_status_code(), message.headers, message.body), reusable
