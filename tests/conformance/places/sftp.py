"""SFTP, on OpenSSH and on ProFTPD."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal

from outfeed.connectors import SftpOptions
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import Ability, FolderPlace, Place, Right, unique
from tests.servers import versions
from tests.servers.proftpd import proftpd_sftp_server
from tests.servers.sshd import SshServer, ssh_server


class SftpPlace(FolderPlace):
    fixture = "sshd"
    evidence = "the real thing"
    verified = "size"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none", "fsync": "rename"}

    def __init__(self, server: SshServer) -> None:
        self.server = server
        base, self.folder = server.make_base(unique("base"))
        self.options = SftpOptions(
            type="sftp",
            name="sftp",
            sftp_host=server.host,
            sftp_port=server.port,
            sftp_remote_path=base,
            username=server.username,
            host_public_key=(server.host_public_key,),
            connection="customer_sftp",
        )
        self.credentials = Credentials(extra={"private_key": server.private_key})

    def product(self) -> str:
        return versions.openssh()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        denied = {"delete": "remove", "rename": "rename,posix-rename,hardlink", "mkdir": "mkdir"}[right]
        with ssh_server(sftp_arguments=f"-P {denied}") as server:
            yield SftpPlace(server), f"`sftp-server -P {denied}`"

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        denied = "rename,posix-rename,hardlink" if ability == "rename" else "fsync"
        with ssh_server(sftp_arguments=f"-P {denied}") as server:
            # OpenSSH in a chroot logs no requests: that they are not repeated is seen at ProFTPD.
            yield SftpPlace(server), lambda: 0, f"`sftp-server -P {denied}`"


class ProftpdSftpPlace(SftpPlace):
    """SFTP on ProFTPD, whose log shows what is asked for."""

    fixture = "proftpd_sftp"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none"}

    def product(self) -> str:
        return f"{versions.proftpd()} (mod_sftp)"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        commands = {"delete": "DELE REMOVE", "rename": "RNFR RNTO RENAME", "mkdir": "MKD XMKD MKDIR"}[right]
        with proftpd_sftp_server(f"<Limit {commands}>", "DenyAll", "</Limit>") as server:
            yield type(self)(server), f"`<Limit {commands}> DenyAll`"

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        assert ability == "rename"
        with self.without("rename") as (place, how):
            assert isinstance(place, ProftpdSftpPlace)
            log = place.server.log
            yield place, lambda: log.read_text(errors="replace").count("\nRENAME "), how
