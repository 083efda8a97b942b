"""Delivery to a customer's SFTP server (DX-031, DX-032, DX-070 to DX-078)."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from outfeed.connectors.addresses import bare_host, base_directory, server_pool, server_uri
from outfeed.connectors.base import (
    Capabilities,
    Check,
    ConnectionId,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    ExceptionType,
    OurSide,
    Outgoing,
    RemoteFile,
    Undelivered,
    safe_relative_path,
)
from outfeed.connectors.sftp_base import SftpBase
from outfeed.connectors.sftp_file import SftpDelivery
from outfeed.connectors.sftp_preflight import preflight
from outfeed.connectors.sftp_resume import worth_keeping
from outfeed.connectors.ssh import Server, connect, public_line
from outfeed.connectors.ssh_pool import LoopThread, SessionPool
from outfeed.connectors.transfer import FileFault, faults_of, in_flight
from outfeed.home import home

#: Connections to one server at most: OpenSSH drops new ones from the tenth unauthenticated one on.
MAX_CONNECTIONS = 8


def _as_tuple(value: Any) -> Any:
    """One key or a list of keys, so that old and new are valid together while a host key rotates."""
    if isinstance(value, str):
        return (value,)
    return value


def _openssh_key(line: str) -> str:
    """`<type> <base64>` of a public key line in OpenSSH form, its comment dropped."""
    if "PRIVATE KEY" in line:
        raise ValueError("this is a private key; ask the customer for the server's public host key")
    words = line.split()
    if len(words) < 2:
        raise ValueError("a host key has the form 'ssh-ed25519 AAAA…', as in ssh_host_ed25519_key.pub")
    kind, encoded = words[:2]
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(
            f"what follows {kind!r} is no public key in OpenSSH form; take the whole key, without '…', and "
            "of a known_hosts line not the host's name"
        ) from None
    fields = _ssh_strings(blob)
    if len(fields) < 2 or fields[0] != kind.encode():
        raise ValueError(f"the host key says it is {kind!r} but its content is another type or cut short")
    return f"{kind} {encoded}"


def _ssh_strings(blob: bytes) -> list[bytes]:
    """The strings that a public key consists of; none if the last one is cut short."""
    strings = []
    while blob:
        end = 4 + int.from_bytes(blob[:4], "big")
        if end > len(blob):
            return []
        strings.append(blob[4:end])
        blob = blob[end:]
    return strings


class SftpOptions(DestinationOptions):
    """An SFTP server, authenticated by its host key; we log in with our key pair only (D20, D21)."""

    key_login = True

    type: Literal["sftp"]
    # The second names are those of a destination of type `ftp` that means SFTP (VI-D12).
    sftp_host: str = Field(
        validation_alias=AliasChoices("sftp_host", "ftp_host"),
        description="Host name or IP address, without a user or a port (DX-072).",
    )
    sftp_port: int = Field(
        default=22,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("sftp_port", "ftp_port"),
        description="DX-073.",
    )
    sftp_remote_path: str = Field(
        min_length=1,
        validation_alias=AliasChoices("sftp_remote_path", "ftp_remote_directory"),
        description="Base directory of all files; a relative one begins at the login directory (DX-074).",
    )
    username: str = Field(
        min_length=1,
        max_length=128,
        validation_alias=AliasChoices("username", "ftp_username"),
        description="DX-077.",
    )
    host_public_key: Annotated[
        tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | tuple[str, ...])
    ] = Field(
        default=(),
        validation_alias=AliasChoices("host_public_key", "host public key"),
        description="The server's public host key, `ssh-ed25519 AAAA…`; a list while a key rotates (DX-076).",
    )
    trust_on_first_use: bool = Field(
        default=False,
        description="Accept and remember the first host key that the server shows; receipts warn (D20).",
    )
    connection: ConnectionId = Field(
        description="Airflow connection whose extra holds `private_key`, any `private_key_passphrase`, and "
        "during a rotation `private_key_previous`."
    )
    # A small file takes three round trips: at 30 ms, 8 in flight would send 55 a second.
    parallel: int = Field(default=32, ge=1, le=64, description="Files in flight at once.")
    verify: Literal["size", "read-back"] = Field(
        default="size", description="`read-back` reads every file again and compares its sha256."
    )

    @field_validator("sftp_host")
    @classmethod
    def _bare_host(cls, value: str) -> str:
        return bare_host(value, "sftp.example.com")

    @field_validator("sftp_remote_path")
    @classmethod
    def _normal_base(cls, value: str) -> str:
        return base_directory(value)

    @field_validator("username")
    @classmethod
    def _plain_user(cls, value: str) -> str:
        if re.search(r"[\s\x00-\x1f@:/]", value):
            raise ValueError(f"{value!r} is no user name: spaces, '@', ':' and '/' are refused")
        return value

    @field_validator("host_public_key")
    @classmethod
    def _openssh_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_openssh_key(line) for line in value))

    @model_validator(mode="after")
    def _authenticated_server(self) -> Self:
        if not self.host_public_key and not self.trust_on_first_use:
            raise ValueError(
                "host_public_key is missing: without it anybody on the way could receive the files. "
                "Ask the customer for it, or let an operator set trust_on_first_use: true"
            )
        if self.host_public_key and self.trust_on_first_use:
            raise ValueError("trust_on_first_use has no meaning beside a host_public_key: remove one of them")
        return self

    def location(self) -> str:
        """`sftp://user@host:port/base`; a base relative to the login directory begins with `/~/`."""
        return server_uri("sftp", self.username, self.sftp_host, self.sftp_port, self.sftp_remote_path)

    def warning(self) -> str | None:
        """Each receipt says when nobody has vouched for the server's identity (D20)."""
        if not self.trust_on_first_use:
            return None
        return "the server's host key was accepted at the first contact and not confirmed by the customer"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """Our public key, the networks that we connect from, and the customer's steps (DX-080 to DX-087)."""
        where = f"{self.username}@{self.sftp_host}, port {self.sftp_port}"
        keys = [f"pinned: {key}" for key in self.host_public_key]
        return {
            "You gave us": [where, f"base directory {self.sftp_remote_path}", *(keys or ["no host key"])],
            "Our SSH public key, a line for authorized_keys": [
                ours.public_key or f"<public half of the key in Airflow connection {self.connection}>"
            ],
            "We connect from": list(ours.address_ranges) or ["<our address ranges>"],
            "You prepare": [
                f"a user {self.username} that may log in with our key, and needs no password and no shell",
                f"the right to list, create, write and rename below {self.sftp_remote_path}",
                f"a firewall that lets our networks reach port {self.sftp_port}",
            ],
        }

    def server(self, credentials: Credentials) -> Server:
        """Where to connect to, which host keys to accept, and how to log in."""
        remembered = home() / "known_hosts" / f"{self.pool_name()}.pub"
        return Server(
            host=self.sftp_host,
            port=self.sftp_port,
            username=self.username,
            host_keys=self.host_public_key,
            remember=remembered if self.trust_on_first_use else None,
            location=self.location(),
            credentials=credentials,
        )

    def pool_name(self) -> str:
        """One pool per server, so that all that goes to one host is bounded together."""
        return server_pool("sftp", self.sftp_host, self.sftp_port)


class SftpConnector(Connector):
    """Delivers over SFTP: several connections, several files on each.

    See the base class for the promises. The server is authenticated by its pinned host key before the first
    byte, we by our key. Where the server can't rename, `capabilities` says so after entry (DX-032).
    """

    type = "sftp"
    capabilities = Capabilities(atomic="rename", conditional_create=True, checksum=None)
    options_model = SftpOptions

    def __init__(self, options: SftpOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options
        self._server = options.server(credentials)
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._thread = LoopThread(self._options.parallel)
        try:
            self._thread.run(self._open())
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.run(self._close(keep_unfinished=error is not None and worth_keeping(error)))
        finally:
            self._thread.close()

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class."""
        return in_flight(files, self._submit, self._options.parallel, self._stop)

    @property
    def accepted_key(self) -> str | None:
        """See the base class."""
        return next((public_line(key) for key in self._server.logged_in), None)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class."""
        size = self._thread.run(self._size(safe_relative_path(path)))
        return None if size is None else RemoteFile(path, size)

    def preflight(self) -> Iterator[Check]:
        """See the base class; connects by itself, so it is called outside a `with`."""
        return preflight(self._server, SftpBase(self._options.sftp_remote_path, self.attempt))

    async def _open(self) -> None:
        connections = min(-(-self._options.parallel // 4), MAX_CONNECTIONS)
        per_connection = -(-self._options.parallel // connections)
        self._base = SftpBase(self._options.sftp_remote_path, self.attempt)
        self._delivery = SftpDelivery(
            self._base,
            read_back=self._options.verify == "read-back",
            files_per_connection=per_connection,
            stop=self._stop,
        )
        self._sessions = SessionPool(lambda: connect(self._server), connections, per_connection)
        try:
            session = await self._sessions.first()
            try:
                await self._base.prepare(session)
            except BaseException:
                await self._base.clean_up(session, keep_unfinished=True)
                raise
        except BaseException:
            await self._sessions.close()
            raise
        self.capabilities = self._base.capabilities

    async def _close(self, *, keep_unfinished: bool) -> None:
        await self._base.clean_up(await self._sessions.first(), keep_unfinished=keep_unfinished)
        await self._sessions.close()

    async def _size(self, path: str) -> int | None:
        attributes = await self._base.attributes(await self._sessions.first(), self._base.path(path))
        return None if attributes is None else attributes.size

    def _submit(self, file: Outgoing) -> Future[Delivered | Undelivered]:
        return self._thread.submit(self._deliver(file))

    async def _deliver(self, file: Outgoing) -> Delivered | Undelivered:
        try:
            with faults_of(file):
                async with self._sessions.lease() as session:
                    return await self._delivery.deliver(session, file)
        except FileFault as fault:
            return Undelivered(file.path, fault.error)
