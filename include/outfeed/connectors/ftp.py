"""Delivery to a customer's FTP server, in clear or by explicit FTPS (VI-D01, VI-D09 to VI-D15)."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

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
from outfeed.connectors.ftp_base import FtpBase
from outfeed.connectors.ftp_file import FtpDelivery
from outfeed.connectors.ftp_login import FtpServer, connect
from outfeed.connectors.ftp_pool import FtpPool
from outfeed.connectors.ftp_preflight import preflight
from outfeed.connectors.ftp_session import FtpLost, FtpRefusal, ftp_fault
from outfeed.connectors.transfer import deliver_in_threads


def over_ssh(value: dict[str, Any]) -> dict[str, Any]:
    """A destination of type `ftp` that means SFTP, as the one of type `sftp` that it is (VI-D12).

    It means SFTP if `ftp_protocol` says so, or says nothing and the port is 22. `SftpOptions` knows the
    document's names of the fields that both have.
    """
    protocol = value.get("ftp_protocol")
    if value.get("type") != "ftp" or not (
        protocol == "sftp" or (protocol is None and str(value.get("ftp_port")) == "22")
    ):
        return value
    kept = {name: item for name, item in value.items() if name != "ftp_protocol"}
    return {"ftp_remote_directory": "/"} | kept | {"type": "sftp"}


def _sftp_too(schema: dict[str, Any]) -> None:
    """Editors see one type `ftp`; what its SFTP form has besides must not be an error there."""
    schema["properties"]["host_public_key"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "The server's public host key, only where SFTP is spoken (DX-076).",
    }
    schema["properties"]["trust_on_first_use"] = {
        "type": "boolean",
        "description": "Accept the first host key that the server shows, only where SFTP is spoken (D20).",
    }


class FtpOptions(DestinationOptions):
    """An FTP server. With `ftp_protocol: sftp`, or on port 22, it is an SFTP destination instead (VI-D12)."""

    model_config = ConfigDict(json_schema_extra=_sftp_too)

    type: Literal["ftp"]
    ftp_host: str = Field(description="Host name or IP address, without a user or a port (VI-D11).")
    ftp_port: int = Field(default=21, ge=1, le=65535, description="22 means SFTP (VI-D12).")
    ftp_username: str = Field(
        min_length=1, max_length=256, description="Whose password the connection holds (VI-D13)."
    )
    ftp_remote_directory: str = Field(
        default="/",
        min_length=1,
        description="Base directory of all files, created if it is missing; a relative one begins at the "
        "login directory (VI-D15).",
    )
    ftp_protocol: Literal["ftp", "ftps"] = Field(
        default="ftp",
        description="`ftps` is FTP over TLS (explicit), `ftp` sends the password in clear, `sftp` is SFTP. "
        "Unset: sftp on port 22, else ftp.",
        json_schema_extra={"enum": ["ftp", "ftps", "sftp"]},
    )
    ftps_ca: str | None = Field(
        default=None,
        min_length=1,
        description="Certificates (PEM) that vouch for an FTPS server whose CA is not a public one.",
    )
    connection: ConnectionId = Field(
        description="Airflow connection with the password; its extra may hold `ftps_ca`."
    )
    # Each file in flight needs a connection of its own, and FTP servers allow few.
    parallel: int = Field(default=4, ge=1, le=64, description="Files, and so connections, at once.")
    verify: Literal["size", "read-back"] = Field(
        default="size", description="`read-back` reads every file again and compares its sha256."
    )

    @field_validator("ftp_host")
    @classmethod
    def _bare_host(cls, value: str) -> str:
        return bare_host(value, "ftp.example.com")

    @field_validator("ftp_remote_directory")
    @classmethod
    def _normal_base(cls, value: str) -> str:
        return base_directory(value)

    @field_validator("ftp_username")
    @classmethod
    def _plain_user(cls, value: str) -> str:
        if re.search(r"[\x00-\x1f\x7f:]", value) or value != value.strip():
            raise ValueError(f"{value!r} is no user name: ':' and control characters are refused")
        return value

    @field_validator("ftps_ca")
    @classmethod
    def _certificates(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ssl.create_default_context(cadata=value)
            except ssl.SSLError:
                raise ValueError("this is no certificate; copy it from BEGIN to END CERTIFICATE") from None
        return value

    @model_validator(mode="after")
    def _ca_only_with_tls(self) -> Self:
        if self.ftps_ca is not None and self.ftp_protocol != "ftps":
            raise ValueError("ftps_ca has a meaning only with ftp_protocol: ftps")
        return self

    def location(self) -> str:
        """`ftp://user@host:port/base`, with and without TLS: it is the same place.

        A base relative to the login directory begins with `/~/`.
        """
        return server_uri("ftp", self.ftp_username, self.ftp_host, self.ftp_port, self.ftp_remote_directory)

    def warning(self) -> str | None:
        """Each receipt says when password and files could be read on their way."""
        if self.ftp_protocol == "ftps":
            return None
        return "plain FTP sends the password and all files in clear; ftp_protocol: ftps or sftp protects them"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """The networks that we connect from, and the rights that our user needs (VI-D09, VI-D10)."""
        secured = "explicit TLS (FTPS)" if self.ftp_protocol == "ftps" else "no encryption"
        return {
            "You gave us": [
                f"{self.ftp_username}@{self.ftp_host}, port {self.ftp_port}, {secured}",
                f"base directory {self.ftp_remote_directory}",
            ],
            "We connect from": list(ours.address_ranges) or ["<our address ranges>"],
            "You prepare": [
                f"a user {self.ftp_username} with a password, and the right to create directories and "
                f"to upload below {self.ftp_remote_directory}",
                "better: also to list, rename, read and delete its own files there, so that no file is "
                "visible before it is complete and verified; none is ever overwritten",
                f"a firewall that lets our networks reach port {self.ftp_port} and the passive ports",
                f"at least {self.parallel} connections at once",
            ],
        }

    def server(self, credentials: Credentials) -> FtpServer:
        """Where to connect to, whom to trust, and how to log in."""
        return FtpServer(
            host=self.ftp_host,
            port=self.ftp_port,
            username=self.ftp_username,
            tls=self.ftp_protocol == "ftps",
            ca=self.ftps_ca or credentials.extra.get("ftps_ca"),
            location=self.location(),
            credentials=credentials,
        )

    def pool_name(self) -> str:
        """One pool per server, so that all that goes to one host is bounded together."""
        return server_pool("ftp", self.ftp_host, self.ftp_port)


class FtpConnector(Connector):
    """Delivers over FTP or explicit FTPS, passive mode: several connections, one file on each.

    See the base class for the promises. Two can't be kept in full, because FTP has no word for them:

    - renaming overwrites at most servers. Each name is looked up just before, so that one try never
      overwrites; another writer who creates the same name within these milliseconds loses its file.
    - where the server can't rename, or does not let our user, a file is visible while it grows, and one that
      a killed try left stays: then only the completion marker tells (`capabilities.atomic` is `none`).

    With FTPS the server's certificate and name are verified, always, and the data is encrypted, too.
    """

    type = "ftp"
    capabilities = Capabilities(atomic="rename", conditional_create=False, checksum=None)
    options_model = FtpOptions

    def __init__(self, options: FtpOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options
        self._server = options.server(credentials)
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._base = self._new_base()
        self._pool = FtpPool(partial(connect, self._server), self._options.parallel)
        try:
            with self._pool.lease() as session:
                try:
                    self._base.prepare(session)
                except BaseException:
                    self._base.clean_up(session)
                    raise
        except BaseException:
            self._pool.close()
            raise
        read_back = self._options.verify == "read-back"
        self._delivery = FtpDelivery(self._base, self._pool, read_back=read_back, stop=self._stop)
        self.capabilities = self._base.capabilities
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._pool.last() as session:
                if session is not None:
                    self._base.clean_up(session)
        finally:
            self._pool.close()

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class; `verified` is `size`, `sha256` where the server computes it, or `read-back`."""
        return deliver_in_threads(files, self._delivery.deliver, self._options.parallel, self._stop)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class."""
        remote = self._base.path(safe_relative_path(path))
        with self._pool.lease() as session:
            try:
                found = self._base.look(session, remote)
                if found is None or found.folder:
                    return None
                if found.bytes is None:
                    return RemoteFile(path, session.sha256(remote)[1])
                digest = session.reported_sha256(remote, found.bytes) if self._base.hashes else None
                return RemoteFile(path, found.bytes, digest)
            except (FtpRefusal, FtpLost) as error:
                raise ftp_fault(error, f"look at {path}", self._options.location()) from error

    def preflight(self) -> Iterator[Check]:
        """See the base class; connects by itself, so it is called outside a `with`."""
        return preflight(self._server, self._new_base())

    def _new_base(self) -> FtpBase:
        return FtpBase(self._options.ftp_remote_directory, self.attempt, self._options.location())
