"""A real OpenSSH server that offers SFTP only, to one user with one key."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.folders import empty_folder
from tests.servers.process import MissingServerError, binary, free_ports, running, scratch

INSTALL = "apt-get install -y --no-install-recommends openssh-server"


@dataclasses.dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        base: the upload directory as the SFTP client sees it.
        folder: the same directory on this machine.
        host_public_key: the host key that the server prefers, `ssh-ed25519 AAAA…`.
        other_host_public_key: its second one, of type ECDSA.
        private_key: the only key that may log in, OpenSSH form.
        log: the server's log file.
    """

    host: str
    port: int
    username: str
    base: str
    folder: Path
    host_public_key: str
    other_host_public_key: str
    private_key: str
    log: Path

    def make_base(self, name: str) -> tuple[str, Path]:
        """Makes an empty base directory of that name; returns it as the client and as this machine see it."""
        return f"{self.base}/{name}", empty_folder(self.folder / name, self.user)

    @property
    def user(self) -> pwd.struct_passwd:
        """The account that the server serves."""
        return pwd.getpwnam(self.username)


@contextlib.contextmanager
def ssh_server(*, sftp_arguments: str = "") -> Iterator[SshServer]:
    """An OpenSSH server with its default limits on a free port.

    As root it serves user `nobody` in a chroot; otherwise the user who runs the tests.

    Args:
        sftp_arguments: further arguments of internal-sftp, such as `-P rename` to forbid a request.
    """
    import asyncssh

    sshd = binary("sshd", INSTALL)
    root = os.geteuid() == 0
    user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
    (port,) = free_ports(1)
    with scratch("sshd", root_owned=True) as folder:
        jail = folder / "jail" if root else folder
        upload = empty_folder(jail / "upload", user)
        host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        other_host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
        for name, key in {"host_key": host_key, "other_host_key": other_host_key}.items():
            key.write_private_key(folder / name)
            (folder / name).chmod(0o600)
        (folder / "authorized_keys").write_bytes(user_key.export_public_key())
        base = "/upload" if root else str(upload)
        jailing = [f"ChrootDirectory {jail}"] if root else []
        config = [
            f"ListenAddress 127.0.0.1:{port}",
            f"HostKey {folder}/host_key",
            f"HostKey {folder}/other_host_key",
            f"PidFile {folder}/pid",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            f"AllowUsers {user.pw_name}",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PubkeyAuthentication yes",
            "Subsystem sftp internal-sftp",
            f"ForceCommand internal-sftp -d {base} {sftp_arguments}",
            *jailing,
        ]
        (folder / "sshd_config").write_text("\n".join(config) + "\n")
        if root:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        elif not Path("/run/sshd").exists():
            raise MissingServerError("sshd wants the folder /run/sshd: sudo mkdir -p /run/sshd")
        log = folder / "log"
        with running([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], port=port, log=log):
            yield SshServer(
                host="127.0.0.1",
                port=port,
                username=user.pw_name,
                base=base,
                folder=upload,
                host_public_key=public_line(host_key),
                other_host_public_key=public_line(other_host_key),
                private_key=user_key.export_private_key().decode(),
                log=log,
            )


def public_line(key: Any) -> str:
    """`<type> <base64>` of an asyncssh key's public half."""
    return " ".join(key.export_public_key().decode().split()[:2])
