"""Requests over connections that stay open: whole answers or none, whatever the server does."""

from __future__ import annotations

import contextlib
import datetime as dt
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from outfeed.connectors.http_direct import Connections
from outfeed.connectors.s3_direct import AmazonSignature
from tests.servers.certificates import make_certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: Value\r\n\r\nok"

#: Given the request's head and content, what the server sends; None closes the connection.
Handler = Callable[[bytes, bytes], bytes | None]


class Server:
    """Reads one request after the other from each connection; counts the connections."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.connections = 0
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self.connections += 1
                self.open.append(accepted)
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                accepted = self._context.wrap_socket(accepted, server_side=True)
            with accepted, accepted.makefile("rb") as stream:
                while line := stream.readline():
                    head = line
                    while (line := stream.readline()) != b"\r\n":
                        head += line
                    (length,) = [
                        int(one[15:]) for one in head.split(b"\r\n") if one[:15] == b"Content-Length:"
                    ]
                    answer = self._handler(head, stream.read(length))
                    if answer is None:
                        return
                    accepted.sendall(answer)

    def close(self) -> None:
        self._listening.close()
        for accepted in self.open:
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(handler, context)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def connected(server: Server, *, keep: int = 8, tls: ssl.SSLContext | None = None) -> Iterator[Connections]:
    scheme = "http" if tls is None else "https"
    connections = Connections(f"{scheme}://localhost:{server.port}/", (10, 1), keep, tls)
    try:
        yield connections
    finally:
        connections.close()


def wait_for_something(connections: Connections) -> None:
    """Until what the server did has arrived at the idle connection."""
    (idle,) = connections._idle
    assert select.select([idle], [], [], 30)[0]


def url(path: str) -> str:
    return f"http://localhost:1234{path}"


def test_a_request_arrives_as_it_was_given_and_its_answer_is_whole() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def noted(head: bytes, content: bytes) -> bytes:
        seen.append((head, content))
        return OK

    with serving(noted) as server, connected(server) as connections:
        for content in ([b"small ", b"content"], [b"a" * 3_000_000, b"b"], []):
            answer = connections.send("PUT", url("/a%20b?c=d"), {"X-Own": "1"}, content)
            assert (answer.status, answer.body) == (200, b"ok")
            assert answer.headers == {"content-length": "2", "x-name": "Value"}
    heads = [head.decode().splitlines() for head, _ in seen]
    assert [head[:2] for head in heads] == [["PUT /a%20b?c=d HTTP/1.1", "Host: localhost:1234"]] * 3
    assert all("X-Own: 1" in head for head in heads)
    assert [content for _, content in seen] == [b"small content", b"a" * 3_000_000 + b"b", b""]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nX-Name: other\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nX-Name: Value\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    ],
)
def test_other_forms_of_an_answer_are_understood(answer: bytes) -> None:
    with serving(lambda head, content: answer) as server, connected(server) as connections:
        for _ in range(2):
            found = connections.send("PUT", url("/"), {}, [b"x"])
            assert (found.status, found.headers["x-name"], found.body) == (200, "Value", b"ok")
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
        # Nothing follows: the server waits, and so do we until our patience ends.
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_no_answer_is_made_of_half_of_one(answer: bytes | None) -> None:
    answers = iter([answer])
    with serving(lambda head, content: next(answers, OK)) as server, connected(server) as connections:
        with pytest.raises(OSError):
            connections.send("PUT", url("/"), {}, [b"x"])
        assert connections.send("PUT", url("/"), {}, [b"x"]).status == 200
    assert server.connections == 2


def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    ended = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(lambda head, content: ended) as server, connected(server) as connections:
        for _ in range(3):
            assert connections.send("PUT", url("/"), {}, [b"x"]).status == 200
    assert server.connections == 3


def test_a_connection_that_ended_while_it_was_idle_is_replaced() -> None:
    with serving(lambda head, content: OK) as server, connected(server) as connections:
        connections.send("PUT", url("/"), {}, [b"x"])
        (accepted,) = server.open
        accepted.shutdown(socket.SHUT_RDWR)
        wait_for_something(connections)
        assert connections.send("PUT", url("/"), {}, [b"x"]).status == 200
    assert server.connections == 2


def test_what_nobody_asked_for_is_no_answer() -> None:
    with serving(lambda head, content: OK) as server, connected(server) as connections:
        connections.send("PUT", url("/"), {}, [b"x"])
        (accepted,) = server.open
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        wait_for_something(connections)
        assert connections.send("PUT", url("/"), {}, [b"x"]).body == b"ok"
    assert server.connections == 2


def test_answers_belong_to_the_requests_of_their_threads() -> None:
    def echo(head: bytes, content: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)

    contents = [f"{number}".encode() * 50 for number in range(300)]
    with serving(echo) as server, connected(server, keep=3) as connections, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda content: connections.send("PUT", url("/"), {}, [content]).body, contents)
        assert list(answers) == contents


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server, and of a client that trusts it."""
    made = make_certificates("localhost")
    pair = tmp_path_factory.mktemp("tls") / "server.pem"
    pair.write_text(made.certificate + made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    return context, ssl.create_default_context(cadata=made.ca)


def test_only_a_server_that_is_known_gets_the_content(known: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    # XX-06
    seen: list[bytes] = []

    def noted(head: bytes, content: bytes) -> bytes:
        seen.append(content)
        return OK

    context, trusting = known
    doubting = ssl.create_default_context(cadata=make_certificates("localhost").ca)
    with serving(noted, context) as server:
        with connected(server, tls=doubting) as connections, pytest.raises(ssl.SSLCertVerificationError):
            connections.send("PUT", url("/"), {}, [b"secret"])
        assert seen == []
        with connected(server, tls=trusting) as connections:
            for _ in range(2):
                assert connections.send("PUT", url("/"), {}, [b"a" * 3_000_000, b"b"]).body == b"ok"
    assert seen == [b"a" * 3_000_000 + b"b"] * 2
    assert server.connections == 2


def test_a_silent_server_behind_tls_is_given_up(known: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    context, trusting = known
    with (
        serving(lambda head, content: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", context) as server,
        connected(server, tls=trusting) as connections,
        pytest.raises(TimeoutError),
    ):
        connections.send("PUT", url("/"), {}, [b"x"])


@pytest.mark.parametrize("token", [None, "session/token+="])
@pytest.mark.parametrize("target", ["/bucket/a%20b/%C3%BC~.json", "/b/k?partNumber=2&uploadId=a%2Bb%3D", "/"])
def test_amazons_signature_is_botocores(
    monkeypatch: pytest.MonkeyPatch, target: str, token: str | None
) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials

    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token)
    headers = {"If-None-Match": "*", "Content-Type": "text/plain", "x-amz-checksum-sha256": "47DEQp=="}
    signature = AmazonSignature(credentials, "eu-west-3")
    for day in (1, 1, 2):
        now = dt.datetime(2026, 11, day, 23, 59, 58, tzinfo=dt.UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda now=now: now)
        theirs = AWSRequest("PUT", f"https://store.example:8443{target}", headers=headers, data=b"content")
        theirs.context["client_config"] = Config(s3={"payload_signing_enabled": False})
        S3SigV4Auth(credentials, "s3", "eu-west-3").add_auth(theirs)
        ours = signature.sign("PUT", f"https://store.example:8443{target}", headers, now)
        assert {**headers, **ours} == dict(theirs.headers.items())
