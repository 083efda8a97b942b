"""From a host name to an SFTP channel: pinned host key, our key only, each step named and bounded in time.

Nothing of this machine's user takes part: no ~/.ssh, no known_hosts file, no agent, no password (D20, D21).
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outfeed.connectors.addresses import unconnected
from outfeed.connectors.base import Credentials
from outfeed.connectors.ssh_session import SshSession, reason
from outfeed.connectors.ssh_socket import BatchingTunnel
from outfeed.errors import Action, ConfigError, OutfeedError, TerminalError, TransientError

if TYPE_CHECKING:
    import asyncssh

#: Where the connection's extra holds our keys; the second one exists while a rotation is under way.
PRIVATE_KEY = "private_key"
PREVIOUS_KEY = "private_key_previous"

#: Seconds for each step up to a usable connection.
CONNECT_TIMEOUT = 30.0

#: The cheapest cipher first; only authenticated or counter mode ones.
_CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]

#: Signature algorithms of plain host keys; SHA-1 is not among them.
_HOST_KEY_ALGORITHMS = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
]


@dataclasses.dataclass(frozen=True)
class Found:
    """What a step found out, and as lines for the YAML what belongs there."""

    message: str
    setting: str | None = None


class StepError(Exception):
    """A step on the way to a connection failed; `found` holds what steps just before it found.

    `setting` holds lines for the YAML that would end the failure.
    """

    def __init__(
        self,
        step: str,
        error: OutfeedError,
        found: dict[str, Found] | None = None,
        setting: str | None = None,
    ) -> None:
        self.step = step
        self.error = error
        self.found = found or {}
        self.setting = setting
        super().__init__(str(error))


@dataclasses.dataclass(frozen=True)
class Server:
    """Where to connect to, and which host keys are its own.

    Attributes:
        host_keys: pinned keys in OpenSSH form; empty only with `remember`.
        remember: file that holds the key of the first contact (trust on first use), or None.
        location: URI for messages.
        credentials: hold our private key, and during a rotation the previous one.
        logged_in: our key that the server accepted last, once there is one.
    """

    host: str
    port: int
    username: str
    host_keys: tuple[str, ...]
    remember: Path | None
    location: str
    credentials: Credentials
    logged_in: list[asyncssh.SSHKey] = dataclasses.field(default_factory=list, compare=False)

    def trusted(self) -> tuple[str, ...]:
        """The keys to accept; empty means any, which happens only on a first use that an operator allowed."""
        if self.remember is not None and self.remember.exists():
            return (self.remember.read_text().strip(),)
        return self.host_keys

    @functools.cached_property
    def private_keys(self) -> tuple[asyncssh.SSHKey, ...]:
        """Our key and, during a rotation, the previous one; read once: decrypting one takes a while."""
        extra = self.credentials.extra
        names = (PRIVATE_KEY, *([PREVIOUS_KEY] if extra.get(PREVIOUS_KEY) else []))
        return tuple(self._private_key(name) for name in names)

    def keys_to_try(self) -> list[asyncssh.SSHKey]:
        """The one that was accepted before comes first: a refused one may count as an attack there."""
        last = self.logged_in[-1:]
        return [*last, *(key for key in self.private_keys if key not in last)]

    def _private_key(self, name: str) -> asyncssh.SSHKey:
        import asyncssh

        text = self.credentials.extra.get(name)
        if not text:
            problem = f"its extra holds no {name}"
        else:
            try:
                passphrase = self.credentials.extra.get("private_key_passphrase")
                return asyncssh.import_private_key(text, passphrase)
            except asyncssh.KeyEncryptionError:
                problem = f"its {name} is encrypted and private_key_passphrase is missing or wrong"
            except asyncssh.KeyImportError:
                problem = f"its {name} is no private key in OpenSSH or PEM form"
        unusable = TerminalError(
            f"could not authenticate: the connection of this destination can't be used: {problem}",
            where=self.location,
            action=Action.OPERATOR,
            remedy="put the private half of the customer's key pair into the connection's extra "
            "(`outfeed keys create` does)",
        )
        raise StepError("authenticate", unusable)


async def connect_steps(server: Server) -> AsyncIterator[tuple[str, Found | SshSession]]:
    """Connects in named steps: resolve, connect, host key, authenticate; last comes the session itself.

    Yields:
        Name of a finished step and what it found; finally `("session", session)`.

    Raises:
        StepError: names the step; a time-out is told apart from a refusal (DX-087).
    """
    addresses = await _resolve(server)
    yield "resolve", Found(f"{server.host} is {', '.join(sorted({address[4][0] for address in addresses}))}")
    sock = await _connect(server, addresses)
    yield "connect", Found(f"port {server.port} accepts connections")
    connection, shown = await _log_in(server, sock)
    yield "host key", shown
    yield "authenticate", Found(_login(server))
    yield "session", await _start_sftp(server, connection)


async def connect(server: Server) -> SshSession:
    """A connected session; raises the OutfeedError of the step that failed."""
    try:
        async for _, result in connect_steps(server):
            if isinstance(result, SshSession):
                return result
    except StepError as failed:
        raise failed.error from failed
    raise AssertionError("connect_steps ends with a session")


async def _resolve(server: Server) -> list[Any]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise StepError("resolve", _transient(server, "the name server did not answer in time")) from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise StepError("resolve", _transient(server, "the name server is not available")) from None
        raise StepError(
            "resolve",
            TerminalError(
                f"could not resolve: there is no host named {server.host}",
                where=server.location,
                action=Action.CUSTOMER,
                remedy="tell us the server's right name; if only our YAML has it wrong, "
                "the engineer corrects sftp_host there",
            ),
        ) from None


async def _connect(server: Server, addresses: list[Any]) -> socket.socket:
    """The first address that accepts; a silent one counts as a firewall that drops our packets."""
    failure = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    gone = unconnected(server.port, "sftp_port", CONNECT_TIMEOUT, failure, server.location)
    raise StepError("connect", gone) from failure


async def _log_in(server: Server, sock: socket.socket) -> tuple[asyncssh.SSHClientConnection, Found]:
    import asyncssh

    try:
        trusted = _trusted_keys(server)
        keys = await asyncio.to_thread(server.keys_to_try)
        shown: list[asyncssh.SSHKey] = []
        offered: list[asyncssh.SSHKey] = []
        made: list[asyncssh.SSHClientConnection] = []
        connection = await asyncssh.connect(
            tunnel=BatchingTunnel(sock),
            config=None,
            options=asyncssh.SSHClientConnectionOptions(
                config=None,
                host=server.host,
                port=server.port,
                username=server.username,
                client_factory=_client(trusted, shown, keys, offered, made),
                known_hosts=([], [], []),
                server_host_key_algs=_host_key_algorithms(trusted),
                # The client itself offers them, so that we know which one was accepted.
                client_keys=None,
                client_certs=[],
                agent_path=None,
                preferred_auth="publickey",
                gss_host=None,
                gss_kex=False,
                encryption_algs=_CIPHERS,
                compression_algs=["none"],
                connect_timeout=CONNECT_TIMEOUT,
                login_timeout=CONNECT_TIMEOUT,
                keepalive_interval=30,
                keepalive_count_max=20,
            ),
        )
    except (OSError, asyncssh.Error) as error:
        sock.close()
        named = any(one.get_extra_info("server_version") is not None for one in made)
        if not named and not isinstance(error, TimeoutError | asyncssh.ProtocolNotSupported):
            raise StepError("host key", _no_ssh(server)) from error
        raise _log_in_error(server, error, trusted, shown, keys) from error
    except BaseException:
        sock.close()
        raise
    server.logged_in[:] = offered[-1:]
    return connection, _accepted(server, trusted, shown[0])


def _login(server: Server) -> str:
    key = server.logged_in[-1]
    text = f"{server.username} may log in with our"
    if key == server.private_keys[0]:
        return f"{text} key {key.get_fingerprint()}"
    return f"{text} PREVIOUS key {key.get_fingerprint()}, not yet with the new one"


def _trusted_keys(server: Server) -> list[asyncssh.SSHKey]:
    import asyncssh

    try:
        return [asyncssh.import_public_key(line) for line in server.trusted()]
    except asyncssh.KeyImportError as error:
        unusable = ConfigError(
            f"a host key of this destination can't be used: {error}",
            where=server.location,
            remedy="copy the whole line again"
            + (f", or remove {server.remember}" if server.remember else ""),
        )
        raise StepError("host key", unusable) from error


def _client(
    trusted: list[asyncssh.SSHKey],
    shown: list[asyncssh.SSHKey],
    keys: list[asyncssh.SSHKey],
    offered: list[asyncssh.SSHKey],
    made: list[asyncssh.SSHClientConnection],
) -> Callable[[], asyncssh.SSHClient]:
    import asyncssh

    waiting = iter(keys)

    class PinningClient(asyncssh.SSHClient):  # type: ignore[misc]
        """Accepts the trusted host keys and, on a first use, any; offers our keys one after the other.

        Notes the connection, what the server showed, and what was offered to it.
        """

        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            made.append(conn)

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key)
            return not trusted or key in trusted

        def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            key = next(waiting, None)
            if key is not None:
                offered.append(key)
            return key

    return PinningClient


def _host_key_algorithms(trusted: list[asyncssh.SSHKey]) -> list[str]:
    """Kinds of the trusted keys first: a server with several keys then shows the one that we know.

    The others stay, so that a server whose key was replaced by one of another kind shows it, for the message.
    """
    kinds = {key.get_algorithm() for key in trusted}

    def known_last(algorithm: str) -> bool:
        return ("ssh-rsa" if algorithm.startswith("rsa-") else algorithm) not in kinds

    return sorted(_HOST_KEY_ALGORITHMS, key=known_last)


def _log_in_error(
    server: Server,
    error: Exception,
    trusted: list[asyncssh.SSHKey],
    shown: list[asyncssh.SSHKey],
    keys: list[asyncssh.SSHKey],
) -> StepError:
    import asyncssh

    if isinstance(error, asyncssh.HostKeyNotVerifiable) and shown:
        both = ", ".join(public_line(key) for key in [*trusted, shown[0]])
        setting = f"host public key: [{both}]" if server.remember is None else _pin(shown[0])
        return StepError("host key", _changed_key(server, trusted, shown[0]), setting=setting)
    if isinstance(error, asyncssh.PermissionDenied):
        prints = " or ".join(key.get_fingerprint() for key in keys)
        refused = TerminalError(
            f"could not authenticate: {server.username} may not log in with our key {prints}",
            where=server.location,
            action=Action.CUSTOMER,
            remedy=f"add this line to authorized_keys: {public_line(server.private_keys[0])}",
        )
        return StepError("authenticate", refused, {"host key": _judgement(server, trusted, shown[0])})
    step = "authenticate" if shown else "host key"
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolNotSupported):
        unusable = TerminalError(
            f"could not agree on encryption with the server: {error}",
            where=server.location,
            action=Action.CUSTOMER,
            remedy="the server must offer AES-GCM, AES-CTR or ChaCha20, and signatures without SHA-1",
        )
        return StepError(step, unusable)
    if isinstance(error, TimeoutError):
        return StepError(
            step, _transient(server, f"the server did not finish the login in {CONNECT_TIMEOUT:.0f} s")
        )
    return StepError(step, _transient(server, f"the connection was lost during the login ({reason(error)})"))


def _no_ssh(server: Server) -> TransientError:
    """An SSH server that has no room for us may end a connection before its first word, too."""
    return TransientError(
        f"what answers at {server.host}, port {server.port}, is no SSH server, or lets nobody in now: "
        "it ended the connection without naming a version of SSH",
        where=server.location,
        remedy="retried; if it persists, compare sftp_host and sftp_port with what the customer has named",
    )


def _changed_key(server: Server, trusted: list[asyncssh.SSHKey], shown: asyncssh.SSHKey) -> TerminalError:
    expected = " or ".join(f"{key.get_algorithm()} {key.get_fingerprint()}" for key in trusted)
    return TerminalError(
        f"the server's host key is {shown.get_algorithm()} {shown.get_fingerprint()}, "
        f"but {expected} was expected; nothing was sent",
        where=server.location,
        # The message goes to the operators alone: whoever stands in between must not be the one who is asked.
        action=Action.OPERATOR,
        remedy="ask the customer, not by this server, whether the key was replaced; only if so, add to "
        f"host_public_key: {public_line(shown)}"
        + (f" and remove {server.remember}" if server.remember else ""),
    )


def _pin(key: asyncssh.SSHKey) -> str:
    return f"host public key: {public_line(key)}"


def _accepted(server: Server, trusted: list[asyncssh.SSHKey], shown: asyncssh.SSHKey) -> Found:
    """Says how the key was accepted; on a first use, remembers it once the login has succeeded."""
    if server.remember is not None and not trusted:
        server.remember.parent.mkdir(parents=True, exist_ok=True)
        aside = server.remember.with_name(f"{server.remember.name}.{os.getpid()}.{id(shown)}")
        aside.write_text(f"{public_line(shown)}\n")
        aside.replace(server.remember)
    return _judgement(server, trusted, shown)


def _judgement(server: Server, trusted: list[asyncssh.SSHKey], shown: asyncssh.SSHKey) -> Found:
    text = f"{shown.get_algorithm()} {shown.get_fingerprint()}"
    if server.remember is None:
        message = f"{text} is the expected key"
    elif trusted:
        message = f"{text} is the key of the first contact, but was never confirmed by the customer"
    else:
        message = (
            f"{text} is accepted at the first contact; let the customer confirm it: {public_line(shown)}"
        )
    return Found(message, _pin(shown))


async def _start_sftp(server: Server, connection: asyncssh.SSHClientConnection) -> SshSession:
    import asyncssh

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            client = await connection.start_sftp_client()
    except asyncssh.ChannelOpenError as error:
        # A connection that is lost now ends in the same exception as a refusal.
        codes = (asyncssh.OPEN_CONNECT_FAILED, asyncssh.OPEN_RESOURCE_SHORTAGE)
        passing = error.code in codes or connection.is_closed()
        connection.abort()
        if passing:
            raise StepError("sftp", _transient(server, f"SFTP did not start ({reason(error)})")) from error
        refused = TerminalError(
            f"the server offers no SFTP to {server.username}: {error}",
            where=server.location,
            action=Action.CUSTOMER,
            remedy="enable the SFTP subsystem for this user",
        )
        raise StepError("sftp", refused) from error
    except (OSError, asyncssh.Error) as error:
        connection.abort()
        raise StepError("sftp", _transient(server, f"SFTP did not start ({reason(error)})")) from error
    return SshSession(connection, client, server.location)


def _transient(server: Server, what: str) -> TransientError:
    return TransientError(what, where=server.location, remedy="retried; if it persists, ask the customer")


def public_line(key: asyncssh.SSHKey) -> str:
    """The public half of a key as `<type> <base64>`."""
    return " ".join(key.export_public_key().decode().split()[:2])
