"""From a host name to a logged-in FTP connection, TLS included: each step named and bounded in time."""

from __future__ import annotations

import dataclasses
import ftplib
import re
import socket
import ssl
from collections.abc import Iterator

from outfeed.connectors.addresses import unconnected
from outfeed.connectors.base import Credentials
from outfeed.connectors.ftp_session import (
    UNKNOWN_COMMAND,
    ControlConnection,
    FtpLost,
    FtpRefusal,
    FtpSession,
    TlsControlConnection,
    ftp_fault,
    is_overload,
)
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

#: Seconds for each step up to a usable connection.
CONNECT_TIMEOUT = 30.0


class StepError(Exception):
    """A step on the way to a connection failed."""

    def __init__(self, step: str, error: OutfeedError) -> None:
        self.step = step
        self.error = error
        super().__init__(str(error))


@dataclasses.dataclass(frozen=True)
class FtpServer:
    """Where to connect to, and how.

    Attributes:
        tls: explicit FTPS: nothing but the wish for TLS is said in clear.
        ca: certificates in PEM that vouch for the server; those of the system if None.
        location: URI for messages.
        credentials: hold the password.
    """

    host: str
    port: int
    username: str
    tls: bool
    ca: str | None
    location: str
    credentials: Credentials

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps of `connect_steps`, in order."""
        return ("resolve", "connect", *(["tls"] if self.tls else []), "authenticate")

    def password(self) -> str:
        """The password; raises a StepError where the connection can't be the one of this user."""
        login, password = self.credentials.login, self.credentials.password
        if not password:
            problem = "it holds no password"
        elif login and login != self.username:
            problem = "its login is another user than ftp_username"
        elif re.search(r"[\r\n\0]", password):
            problem = "its password has a line break"
        else:
            return password
        unusable = TerminalError(
            f"could not authenticate: the connection of this destination can't be used: {problem}",
            where=self.location,
            action=Action.OPERATOR,
            remedy="put the user's password into the Airflow connection (type FTP: login and password)",
        )
        raise StepError("authenticate", unusable)


def connect_steps(server: FtpServer) -> Iterator[tuple[str, str | FtpSession]]:
    """Connects in named steps: resolve, connect, tls (FTPS), authenticate; last comes the session itself.

    Yields:
        Name of a finished step and what it found; finally `("session", session)`.

    Raises:
        StepError: names the step; a time-out is told apart from a refusal.
    """
    yield "resolve", f"{server.host} is {', '.join(_resolve(server))}"
    ftp = _connect(server)
    try:
        yield "connect", f"port {server.port} accepts connections"
        if isinstance(ftp, TlsControlConnection):
            yield "tls", _start_tls(server, ftp)
        session = _log_in(server, ftp)
        yield "authenticate", f"{server.username} may log in"
    except BaseException:
        ftp.close()
        raise
    yield "session", session


def connect(server: FtpServer) -> FtpSession:
    """A connected session; raises the OutfeedError of the step that failed."""
    try:
        for _, result in connect_steps(server):
            if isinstance(result, FtpSession):
                return result
    except StepError as failed:
        raise failed.error from failed
    raise AssertionError("connect_steps ends with a session")


def _resolve(server: FtpServer) -> list[str]:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _transient(server, "resolve", "could not resolve: no name server is available") from None
        raise _terminal(
            server,
            "resolve",
            f"could not resolve: there is no host named {server.host}",
            "tell us the server's right name; if only our YAML has it wrong, the engineer corrects ftp_host "
            "there",
        ) from None
    return sorted({str(address[4][0]) for address in found})


def _connect(server: FtpServer) -> ControlConnection:
    ftp = (
        TlsControlConnection(CONNECT_TIMEOUT, _context(server))
        if server.tls
        else ControlConnection(CONNECT_TIMEOUT)
    )
    try:
        ftp.connect(server.host, server.port)
    except (OSError, EOFError, ftplib.Error) as error:
        accepted = ftp.sock is not None
        ftp.close()
        if accepted:
            raise _unwelcome(server, error) from error
        gone = unconnected(server.port, "ftp_port", CONNECT_TIMEOUT, error, server.location)
        raise StepError("connect", gone) from error
    _keep_alive(ftp)
    return ftp


def _keep_alive(ftp: ControlConnection) -> None:
    """Keeps routers from forgetting the control connection, which idles during a long transfer."""
    sock = ftp.sock
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 30)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def _context(server: FtpServer) -> ssl.SSLContext:
    """Verifies the server's certificate and name, always; with an own CA, by that one only."""
    try:
        return ssl.create_default_context(cadata=server.ca)
    except ssl.SSLError:
        unusable = TerminalError(
            "ftps_ca is no certificate in PEM form",
            where=server.location,
            action=Action.OPERATOR,
            remedy="copy the whole certificate of the customer's CA again, from BEGIN to END",
        )
        raise StepError("tls", unusable) from None


def _unwelcome(server: FtpServer, error: Exception) -> StepError:
    """The port accepts, but no FTP server says hello."""
    if isinstance(error, ftplib.error_temp | ftplib.error_perm):
        refusal = FtpRefusal(int(str(error)[:3]), re.sub(r"\s+", " ", str(error)[4:])[:200])
        return StepError("connect", _refused(server, refusal))
    if isinstance(error, TimeoutError):
        what = f"the server did not say hello within {CONNECT_TIMEOUT:.0f} s"
    else:
        what = "the server ended the connection before it said hello"
    return _transient(server, "connect", f"could not connect: {what}")


def _start_tls(server: FtpServer, ftp: TlsControlConnection) -> str:
    try:
        ftp.auth()
    except ssl.SSLCertVerificationError as error:
        raise _terminal(
            server,
            "tls",
            f"could not verify the server: {error.verify_message}; nothing was sent",
            "a certificate of its own CA belongs into ftps_ca; ftp_host must be a name in the certificate",
        ) from error
    except ssl.SSLError as error:
        raise _terminal(
            server,
            "tls",
            f"could not agree on encryption with the server: {error.reason}",
            "the server must offer TLS 1.2 or 1.3",
        ) from error
    except (ftplib.error_perm, ftplib.error_temp) as error:
        if str(error).startswith("421"):
            raise _transient(
                server, "tls", "could not start TLS: the server closes the connection"
            ) from error
        raise _terminal(
            server,
            "tls",
            f"the server offers no TLS: it answers {str(error)[:3]} to AUTH TLS",
            "enable explicit FTPS there, or set ftp_protocol: ftp, which sends the password in clear",
        ) from error
    except (OSError, EOFError, ftplib.Error) as error:
        raise _transient(server, "tls", "could not start TLS: the connection was lost") from error
    assert isinstance(ftp.sock, ssl.SSLSocket)  # noqa: S101 - tells the type checker
    return f"{ftp.sock.version()}; the certificate is good for {server.host}"


def _log_in(server: FtpServer, ftp: ControlConnection) -> FtpSession:
    session = FtpSession(ftp, server.password())
    try:
        session.log_in(server.username)
        session.start()
    except FtpRefusal as refusal:
        raise StepError("authenticate", _refused(server, refusal)) from refusal
    except FtpLost as lost:
        raise _transient(
            server, "authenticate", f"the connection was lost during the login ({lost})"
        ) from lost
    return session


def _refused(server: FtpServer, refusal: FtpRefusal) -> OutfeedError:
    """Too many connections, the wish for TLS and a wrong password have the same code at many servers."""
    said = f"could not authenticate: the server answers '{refusal}'"
    if is_overload(refusal):
        return TransientError(
            said,
            where=server.location,
            action=Action.CUSTOMER,
            remedy="retried; if it persists, lower `parallel`, or let the customer allow more connections",
        )
    if not server.tls and re.search(r"\b(?:TLS|SSL|encrypt\w*|secure)\b", refusal.text, re.IGNORECASE):
        return TerminalError(
            said, where=server.location, action=Action.ENGINEER, remedy="set ftp_protocol: ftps"
        )
    if refusal.code in (331, 332, 430, 530, 531, 532):
        return TerminalError(
            f"{said} to the login of {server.username}",
            where=server.location,
            action=Action.CUSTOMER,
            remedy="tell us whether this user and its password are right; if they are, an operator corrects "
            "the password in the Airflow connection",
        )
    if refusal.code in UNKNOWN_COMMAND:
        return TerminalError(
            said,
            where=server.location,
            action=Action.CUSTOMER,
            remedy="see the log of the server: it can't serve this user, or lacks a basic command",
        )
    return ftp_fault(refusal, "log in", server.location)


def _transient(server: FtpServer, step: str, what: str) -> StepError:
    remedy = "retried; if it persists, ask the customer"
    return StepError(step, TransientError(what, where=server.location, remedy=remedy))


def _terminal(server: FtpServer, step: str, what: str, remedy: str) -> StepError:
    return StepError(step, TerminalError(what, where=server.location, action=Action.CUSTOMER, remedy=remedy))
