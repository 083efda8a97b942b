"""FTP and FTPS, on vsftpd and on ProFTPD."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal, Self

from outfeed.connectors import FtpOptions
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import Ability, FolderPlace, Place, Right, unique
from tests.servers import versions
from tests.servers.ftp import FtpServer, ftp_server
from tests.servers.proftpd import proftpd_server


class FtpPlace(FolderPlace):
    """On vsftpd, which knows SIZE but not MLST, and whose rename overwrites."""

    fixture = "ftp"
    evidence = "the real thing"
    verified = "size"
    protocol: ClassVar[Literal["ftp", "ftps"]] = "ftp"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none", "size": "rename"}

    def __init__(self, server: FtpServer, protocol: Literal["ftp", "ftps"] | None = None) -> None:
        protocol = protocol or self.protocol
        self.server = server
        base, self.folder = server.make_base(unique("base"))
        self.options = FtpOptions(
            type="ftp",
            name=protocol,
            ftp_host=server.host,
            ftp_port=server.port,
            ftp_username=server.username,
            ftp_remote_directory=base,
            ftp_protocol=protocol,
            ftps_ca=server.ca if protocol == "ftps" else None,
            connection="customer_ftp",
        )
        self.credentials = Credentials(login=server.username, password=server.password)

    def product(self) -> str:
        return versions.vsftpd()

    #: The commands of each right and ability.
    commands: ClassVar[Mapping[str, str]] = {
        "delete": "DELE",
        "rename": "RNFR",
        "mkdir": "MKD",
        "size": "SIZE",
    }

    @contextlib.contextmanager
    def _refusing(self, command: str) -> Iterator[tuple[Self, str]]:
        setting = f"cmds_denied={command}"
        with ftp_server(setting) as server:
            yield type(self)(server), f"`{setting}`"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        with self._refusing(self.commands[right]) as (place, how):
            yield place, how

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        command = self.commands[ability]
        with self._refusing(command) as (place, how):
            yield place, lambda: place._asked(command), how

    def _asked(self, command: str) -> int:
        """How often the server was sent a command, by its own log."""
        lines = self.server.log.read_text(errors="replace").splitlines()
        return sum(1 for line in lines if "command: " in line and f'"{command} ' in line)


class FtpsPlace(FtpPlace):
    protocol = "ftps"


class ProftpdPlace(FtpPlace):
    """FTPS on ProFTPD, which knows MLST."""

    fixture = "proftpd"
    protocol = "ftps"

    def product(self) -> str:
        return versions.proftpd()

    @contextlib.contextmanager
    def _refusing(self, command: str) -> Iterator[tuple[Self, str]]:
        with proftpd_server(f"<Limit {command}>", "DenyAll", "</Limit>") as server:
            yield type(self)(server), f"`<Limit {command}> DenyAll`"

    def _asked(self, command: str) -> int:
        lines = self.server.log.read_text(errors="replace").splitlines()
        return sum(1 for line in lines if line.startswith(f"{command} "))
