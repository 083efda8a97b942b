"""ProFTPD: a second real server of FTP and FTPS, which knows MLST, and of SFTP, which logs each request."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
from collections.abc import Iterator
from pathlib import Path

from tests.servers.certificates import make_certificates
from tests.servers.ftp import ACCOUNT, USERNAME, FtpServer, password_hash, write_secret
from tests.servers.process import MissingServerError, binary, free_ports, running, scratch
from tests.servers.sshd import SshServer, public_line

INSTALL = "scripts/install_test_servers.sh"

#: Its package and vsftpd's exclude each other: it is unpacked here, not installed.
UNPACKED = Path(__file__).resolve().parents[2] / ".outfeed" / "proftpd"


def proftpd_binary() -> str:
    """Path of the server."""
    return binary("proftpd", INSTALL, UNPACKED / "usr/sbin")


@contextlib.contextmanager
def proftpd_server(*settings: str) -> Iterator[FtpServer]:
    """A ProFTPD that speaks FTP and FTPS, and continues TLS sessions only (its default), on a free port.

    Args:
        settings: further lines of proftpd.conf, such as `<Limit DELE>`.
    """
    password = secrets.token_urlsafe(16)
    certificates = make_certificates("127.0.0.1", "localhost")
    with scratch("proftpd", root_owned=True) as folder:
        write_secret(folder / "key.pem", certificates.key)
        (folder / "certificate.pem").write_text(certificates.certificate)
        lines = [
            "LoadModule mod_tls.c",
            "TLSEngine on",
            "TLSRequired off",
            f"TLSRSACertificateFile {folder}/certificate.pem",
            f"TLSRSACertificateKeyFile {folder}/key.pem",
        ]
        with _running(folder, USERNAME, password_hash(password), ACCOUNT, [*lines, *settings]) as port:
            yield FtpServer(
                host="127.0.0.1",
                port=port,
                username=USERNAME,
                password=password,
                folder=folder / "root",
                ca=certificates.ca,
                log=folder / "protocol",
            )


@contextlib.contextmanager
def proftpd_sftp_server(*settings: str) -> Iterator[SshServer]:
    """A ProFTPD that speaks SFTP, to user `nobody` with one key, on a free port; it logs each request.

    Args:
        settings: further lines of proftpd.conf, such as `<Limit DELE>`.
    """
    import asyncssh

    host_key, other_host_key = (
        asyncssh.generate_private_key(kind) for kind in ("ecdsa-sha2-nistp256", "ssh-rsa")
    )
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    with scratch("proftpd-sftp", root_owned=True) as folder:
        write_secret(folder / "host_key", host_key.export_private_key("pkcs1-pem").decode())
        write_secret(folder / "other_host_key", other_host_key.export_private_key("pkcs1-pem").decode())
        (folder / "authorized").write_bytes(user_key.export_public_key("rfc4716"))
        lines = [
            "LoadModule mod_sftp.c",
            "SFTPEngine on",
            f"SFTPLog {folder}/sftp",
            f"SFTPHostKey {folder}/host_key",
            f"SFTPHostKey {folder}/other_host_key",
            "SFTPAuthMethods publickey",
            f"SFTPAuthorizedUserKeys file:{folder}/authorized",
        ]
        with _running(folder, "nobody", "*", "nobody", [*lines, *settings]) as port:
            yield SshServer(
                host="127.0.0.1",
                port=port,
                username="nobody",
                base="",
                folder=folder / "root",
                host_public_key=public_line(host_key),
                other_host_public_key=public_line(other_host_key),
                private_key=user_key.export_private_key().decode(),
                log=folder / "protocol",
            )


@contextlib.contextmanager
def _running(folder: Path, login: str, hashed: str, account: str, lines: list[str]) -> Iterator[int]:
    """The server's port; it serves one login, whose files are below `root` and belong to an account."""
    proftpd = proftpd_binary()
    if os.geteuid() != 0:
        raise MissingServerError("ProFTPD becomes its user, for which it must run as root: use sudo")
    (port,) = free_ports(1)
    user = pwd.getpwnam(account)
    root = folder / "root"
    root.mkdir()
    os.chown(root, user.pw_uid, user.pw_gid)
    # The server's own password file: no account is added to this machine.
    known = f"{login}:{hashed}:{user.pw_uid}:{user.pw_gid}::{root}:/bin/false\n"
    write_secret(folder / "users", known)
    config = [
        f"ModulePath {Path(proftpd).parents[1] / 'lib/proftpd'}",
        "ServerType standalone",
        "DefaultAddress 127.0.0.1",
        "SocketBindTight on",
        f"Port {port}",
        "UseIPv6 off",
        "UseReverseDNS off",
        "DefaultServer on",
        "RequireValidShell off",
        "UseFtpUsers off",
        "AuthPAM off",
        "AuthOrder mod_auth_file.c",
        f"AuthUserFile {folder}/users",
        f"User {user.pw_name}",
        "Group nogroup",
        "Umask 022",
        "DefaultRoot ~",
        "MaxInstances none",
        f"PidFile {folder}/pid",
        f"ScoreboardFile {folder}/scoreboard",
        f"SystemLog {folder}/system",
        'LogFormat protocol "%m %J -> %s"',
        f"ExtendedLog {folder}/protocol ALL protocol",
        "TransferLog none",
        "WtmpLog off",
        *lines,
    ]
    (folder / "proftpd.conf").write_text("\n".join(config) + "\n")
    command = [proftpd, "--nodaemon", "--config", str(folder / "proftpd.conf")]
    with running(command, port=port, log=folder / "log"):
        yield port
