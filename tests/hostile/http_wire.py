"""A reverse proxy in front of an object store: what HTTP, the network and a busy service do to a request."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.client
import json
import re
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.hostile.armed import Armed
from tests.hostile.story import Fault
from tests.hostile.tcp_wire import Listener, reset, until_gone

_BEFORE = ("cut", "stall", "half", "flip", "slow", "status", "denied", "expired", "skewed", "race")
_AFTER = ("lost", "mute", "half answer")


@dataclasses.dataclass
class Request:
    """One request as the client sent it, its body whole."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclasses.dataclass
class Answer:
    """One answer of the store."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def set(self, name: str, value: str) -> None:
        """Gives a header another value."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        self.headers.append((name, value))


class HttpWire(Listener):
    """In front of a store that speaks S3's protocol; requests pass unchanged, so signatures stay valid.

    Attributes:
        tells_size: the request whose answer tells the size of what was written.
    """

    tells_size = "head"

    def __init__(self, armed: Armed, target: int) -> None:
        self.target = target
        self._sent = 0
        self._gone = False
        super().__init__(armed)

    def rearm(self) -> None:
        """Begins to count the bytes of a new try."""
        self._sent, self._gone = 0, False

    def serve(self, client: socket.socket) -> None:
        if self._gone:
            reset(client)
            return
        type("Handler", (_Handler,), {"wire": self})(client, ("127.0.0.1", 0), self)  # type: ignore[arg-type]

    def kind_of(self, request: Request) -> str:
        """What a request is, in the words of `story`."""
        query = urllib.parse.urlsplit(request.path).query
        if request.method == "POST":
            return "begin" if "uploads" in query else "complete"
        if request.method == "PUT":
            return "part" if "partNumber" in query else "put"
        if request.method == "GET":
            return "list" if "uploads" in query or "list-type" in query else "get"
        return request.method.lower()

    def name_of(self, request: Request) -> str:
        """The object's key."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path)
        return path.lstrip("/").partition("/")[2]

    def forward(self, request: Request, body: bytes | None = None) -> Answer:
        """The store's answer; `body` is a part of the request's when the rest is to be lost."""
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.passed_on(request):
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(request.body if body is None else body)
            if body is not None and len(body) < len(request.body):
                return Answer(0, [])
            response = connection.getresponse()
            content = response.read()
            kept = [
                (name, value)
                for name, value in response.getheaders()
                if name.lower() not in ("transfer-encoding", "connection", "content-length")
            ]
            length = response.getheader("Content-Length") if request.method == "HEAD" else None
            return Answer(response.status, [*kept, ("Content-Length", length or str(len(content)))], content)
        finally:
            connection.close()

    def passed_on(self, request: Request) -> list[tuple[str, str]]:
        """The headers as the store gets them."""
        dropped = ("connection", "expect", "transfer-encoding", "content-length")
        kept = [(name, value) for name, value in request.headers if name.lower() not in dropped]
        if request.method in ("PUT", "POST"):
            kept.append(("Content-Length", str(len(request.body))))
        return kept

    def content_of(self, request: Request) -> tuple[int, int]:
        """Where in the body the object's bytes begin and end."""
        return 0, len(request.body)

    def refusal(self, status: int, code: str) -> Answer:
        """An error in the store's own form."""
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>hostile</Message></Error>".encode()
        return Answer(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], body)

    def make_wrong(self, answer: Answer) -> None:
        """Another size than is true."""
        length = int(next(value for key, value in answer.headers if key == "Content-Length"))
        answer.set("Content-Length", str(length + 7))

    def codes(self, fault: Fault) -> tuple[int, str]:
        """Status and code of a refusal."""
        if fault.kind == "denied":
            return 403, "AccessDenied"
        if fault.kind == "expired":
            return 403, "InvalidAccessKeyId"
        if fault.kind == "skewed":
            return 403, "RequestTimeTooSkewed"
        return fault.amount, {429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}[fault.amount]

    def count(self, size: int) -> bool:
        """Whether the network ends while so many more bytes are on their way."""
        before, self._sent = self._sent, self._sent + size
        for fault in self.armed.of_bytes():
            if fault.after < before + size and self.armed.spent(fault):
                self._gone = True
        return self._gone


class _Handler(BaseHTTPRequestHandler):
    wire: HttpWire
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        with self.wire.working():
            self._pass_on()

    def _pass_on(self) -> None:
        wire = self.wire
        request = Request(self.command, self.path, list(self.headers.items()), self._body())
        if wire.count(len(request.body) + 400):
            self._reset()
            return
        op = wire.kind_of(request)
        name = wire.name_of(request)
        fault = wire.armed.take(op, _BEFORE, name)
        if fault is not None and not self._before(fault, request):
            return
        answer = wire.forward(request)
        after = wire.armed.take(op, _AFTER, f"{name} ({answer.status})")
        if after is not None:
            self._after(after, request, answer)
            return
        self._lie(op, name, answer)
        self._answer(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815

    def _before(self, fault: Fault, request: Request) -> bool:
        """What happens before the request reaches the store; whether it does."""
        wire = self.wire
        if fault.kind == "slow":
            time.sleep(0.1)
        elif fault.kind == "race":
            wire.armed.take_name(wire.name_of(request))
        elif fault.kind == "flip":
            self._flip(fault, request)
        elif fault.kind == "stall":
            until_gone(self.connection)
            self._reset()
            return False
        elif fault.kind == "half":
            with contextlib.suppress(OSError, http.client.HTTPException):
                wire.forward(request, request.body[: fault.amount])
            self._reset()
            return False
        elif fault.kind == "cut":
            self._reset()
            return False
        else:
            self._answer(wire.refusal(*wire.codes(fault)))
            return False
        return True

    def _flip(self, fault: Fault, request: Request) -> None:
        start, end = self.wire.content_of(request)
        if start < end:
            changed = bytearray(request.body)
            changed[start + fault.amount % (end - start)] ^= 4
            request.body = bytes(changed)
            self.wire.armed.flipped += 1

    def _after(self, fault: Fault, request: Request, answer: Answer) -> None:
        if fault.kind == "lost":
            self._reset()
        elif fault.kind == "mute":
            until_gone(self.connection)
            self._reset()
        else:
            text = [
                f"HTTP/1.1 {answer.status} hostile",
                *(f"{name}: {value}" for name, value in answer.headers),
            ]
            head = "\r\n".join([*text, "", ""]).encode("latin-1")
            whole = head + answer.body
            self.wfile.write(
                whole[: len(head) - 20 if not answer.body else len(whole) - len(answer.body) // 2 - 1]
            )
            self._reset()

    def _lie(self, op: str, name: str, answer: Answer) -> None:
        """Of what was just written, a wrong size may be told: as if it had not been stored as it was sent."""
        armed = self.wire.armed
        if op in ("put", "complete") and answer.status in (200, 201):
            armed.fresh.add(name)
        if op != self.wire.tells_size or name not in armed.fresh:
            return
        armed.fresh.discard(name)
        if armed.take(op, ("wrong size",), name):
            self.wire.make_wrong(answer)
            # An orphan may have written it, and the newer try be told of it.
            armed.tell(name, -1)

    def _reset(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        reset(self.connection)

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(answer.body)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self._exactly(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            if size < 0:
                raise ConnectionResetError
            parts.append(self._exactly(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionResetError
        return body

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence."""


@dataclasses.dataclass
class _Session:
    """An upload in several requests."""

    path: str
    metadata: dict[str, Any]
    content: bytes = b""
    answer: Answer | None = None


class GcsWire(HttpWire):
    """In front of the stand-in of Google Cloud Storage.

    The stand-in takes a question about an upload for its end, and forgets the condition of one in several
    requests. So this proxy keeps such uploads itself, by Google's published protocol, and creates the object
    in one request with the condition when the last byte is there. It also compares the CRC32C that a request
    states, as Google does and the stand-in does not.
    """

    tells_size = "put"

    def __init__(self, armed: Armed, target: int) -> None:
        self._sessions: dict[str, _Session] = {}
        self._keeping = threading.Lock()
        super().__init__(armed, target)

    def kind_of(self, request: Request) -> str:
        if request.path.startswith("/upload/"):
            if request.method == "PUT":
                return "part"
            return "begin" if "uploadType=resumable" in request.path else "put"
        if "/o/" in request.path or request.path.startswith("/download/"):
            return "get" if "alt=media" in request.path else "head"
        return "list" if re.search(r"/o(\?|$)", request.path) else "bucket"

    def name_of(self, request: Request) -> str:
        if request.path.startswith("/upload/resumable/"):
            session = self._sessions.get(request.path.rpartition("/")[2])
            return str(session.metadata["name"]) if session else ""
        if request.path.startswith("/upload/"):
            return str(_metadata(request.body).get("name", ""))
        return urllib.parse.unquote(request.path.partition("?")[0].rpartition("/o/")[2])

    def passed_on(self, request: Request) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in super().passed_on(request) if name.lower() != "host"]
        return [*kept, ("Host", f"127.0.0.1:{self.target}")]

    def refusal(self, status: int, code: str) -> Answer:
        body = json.dumps({"error": {"code": status, "message": code}}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return Answer(status, headers, body)

    def codes(self, fault: Fault) -> tuple[int, str]:
        return (401, "Invalid Credentials") if fault.kind == "expired" else super().codes(fault)

    def make_wrong(self, answer: Answer) -> None:
        answer.body = re.sub(rb'"size": ?"(\d+)"', rb'"size":"7\1"', answer.body)
        answer.set("Content-Length", str(len(answer.body)))

    def forward(self, request: Request, body: bytes | None = None) -> Answer:
        kind = self.kind_of(request)
        if body is not None:
            # Nothing is known of a request that is cut; the stand-in would create what it got.
            return Answer(0, [])
        if kind == "begin":
            return self._begin(request)
        if kind == "part":
            return self._part(request)
        stated = _metadata(request.body).get("crc32c") if kind == "put" else None
        start, end = self.content_of(request)
        if stated and stated != _crc32c(request.body[start:end]):
            return self.refusal(400, f'Provided CRC32C "{stated}" doesn\'t match calculated CRC32C.')
        return super().forward(request)

    def content_of(self, request: Request) -> tuple[int, int]:
        if self.kind_of(request) != "put":
            return super().content_of(request)
        start = request.body.index(b"\r\n\r\n", request.body.index(b"\r\n\r\n") + 4) + 4
        return start, request.body.rindex(b"\r\n--")

    def _begin(self, request: Request) -> Answer:
        metadata = json.loads(request.body)
        with self._keeping:
            key = f"upload{len(self._sessions)}"
            self._sessions[key] = _Session(request.path, metadata)
        where = f"http://127.0.0.1:{self.port}/upload/resumable/{key}"
        return Answer(200, [("Location", where), ("Content-Length", "0")])

    def _part(self, request: Request) -> Answer:
        with self._keeping:
            session = self._sessions[request.path.rpartition("/")[2]]
            if session.answer is not None:
                return session.answer
            found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", request.header("content-range"))
            assert found is not None, request.headers
            if found[1] is not None:
                start = int(found[1])
                session.content += (
                    request.body[len(session.content) - start :] if start <= len(session.content) else b""
                )
            if found[3] == "*" or len(session.content) < int(found[3]):
                end = f"bytes=0-{len(session.content) - 1}"
                ranges = [("Range", end)] if session.content else []
                return Answer(308, [*ranges, ("Content-Length", "0")])
            stated = re.search(r"crc32c=([A-Za-z0-9+/=]+)", request.header("x-goog-hash"))
            if stated and stated[1] != _crc32c(session.content):
                return self.refusal(400, f'Provided CRC32C "{stated[1]}" doesn\'t match calculated CRC32C.')
            answer = self._create(session)
            if answer.status < 500:
                session.answer = answer
            return answer

    def _create(self, session: _Session) -> Answer:
        path = session.path.replace("uploadType=resumable", "uploadType=multipart")
        kind = session.metadata.get("contentType", "application/octet-stream")
        body = b"".join(
            [
                b"--hostile\r\nContent-Type: application/json\r\n\r\n",
                json.dumps(session.metadata).encode(),
                f"\r\n--hostile\r\nContent-Type: {kind}\r\n\r\n".encode(),
                session.content,
                b"\r\n--hostile--\r\n",
            ]
        )
        headers = [("Content-Type", "multipart/related; boundary=hostile")]
        return super().forward(Request("POST", path, headers, body))


class AzureWire(HttpWire):
    """In front of Azurite, which has another code than Azure for what arrived damaged.

    Paths begin with the account and the container.
    """

    def kind_of(self, request: Request) -> str:
        query = urllib.parse.urlsplit(request.path).query
        if request.method == "PUT":
            return (
                "part" if "comp=block&" in f"{query}&" else "complete" if "comp=blocklist" in query else "put"
            )
        if request.method == "GET":
            return "list" if "comp=list" in query else "get"
        return request.method.lower()

    def name_of(self, request: Request) -> str:
        return super().name_of(request).partition("/")[2]

    def forward(self, request: Request, body: bytes | None = None) -> Answer:
        stated = request.header("content-md5")
        if body is None and stated and base64.b64decode(stated) != hashlib.md5(request.body).digest():
            return self.refusal(400, "Md5Mismatch")
        return super().forward(request, body)

    def refusal(self, status: int, code: str) -> Answer:
        answer = super().refusal(status, code)
        answer.set("x-ms-error-code", code)
        return answer

    def codes(self, fault: Fault) -> tuple[int, str]:
        if fault.kind == "denied":
            return 403, "AuthorizationPermissionMismatch"
        if fault.kind == "expired":
            return 403, "AuthenticationFailed"
        return fault.amount, {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy"}[fault.amount]


def _metadata(body: bytes) -> dict[str, Any]:
    found = re.search(rb"\{.*?\}(?=\r?\n)|^\{.*\}$", body[:4000], re.S)
    with contextlib.suppress(ValueError):
        return dict(json.loads(found[0])) if found else {}
    return {}


def _crc32c(content: bytes) -> str:
    import google_crc32c

    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
