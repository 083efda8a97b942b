"""A second real FTP server (ProFTPD), which offers MLST and refuses to rename onto a name that exists."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.certificates import make_certificates
from tests.servers.ftp import ACCOUNT, USERNAME, FtpServer
from tests.servers.process import MissingServerError, binary, free_ports, running, scratch

INSTALL = "scripts/install_test_servers.sh"

#: Its package and vsftpd's exclude each other: it is unpacked here, not installed.
UNPACKED = Path(__file__).resolve().parents[2] / ".outfeed" / "proftpd"


def proftpd_binary() -> str:
    """Path of the server."""
    return binary("proftpd", INSTALL, UNPACKED / "usr/sbin")


@contextlib.contextmanager
def proftpd_server(*settings: str) -> Iterator[FtpServer]:
    """A ProFTPD that continues TLS sessions only (its default) on a free port.

    Args:
        settings: further lines of proftpd.conf, such as `<Limit DELE>`.
    """
    proftpd = proftpd_binary()
    if os.geteuid() != 0:
        raise MissingServerError("ProFTPD becomes its user, for which it must run as root: use sudo")
    (port,) = free_ports(1)
    password = secrets.token_urlsafe(16)
    user = pwd.getpwnam(ACCOUNT)
    certificates = make_certificates("127.0.0.1", "localhost")
    with scratch("proftpd", root_owned=True) as folder:
        root = folder / "root"
        root.mkdir()
        os.chown(root, user.pw_uid, user.pw_gid)
        _write_secret(folder / "key.pem", certificates.key)
        _write_secret(folder / "users", _account(password, user, root))
        (folder / "certificate.pem").write_text(certificates.certificate)
        config = [
            f"ModulePath {Path(proftpd).parents[1] / 'lib/proftpd'}",
            "LoadModule mod_tls.c",
            "ServerType standalone",
            "DefaultAddress 127.0.0.1",
            "SocketBindTight on",
            f"Port {port}",
            "UseIPv6 off",
            "UseReverseDNS off",
            "DefaultServer on",
            "RequireValidShell off",
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
            "TLSEngine on",
            "TLSRequired off",
            f"TLSRSACertificateFile {folder}/certificate.pem",
            f"TLSRSACertificateKeyFile {folder}/key.pem",
            *settings,
        ]
        (folder / "proftpd.conf").write_text("\n".join(config) + "\n")
        command = [proftpd, "--nodaemon", "--config", str(folder / "proftpd.conf")]
        with running(command, port=port, log=folder / "log"):
            yield FtpServer(
                host="127.0.0.1",
                port=port,
                username=USERNAME,
                password=password,
                folder=root,
                ca=certificates.ca,
                log=folder / "protocol",
            )


def _account(password: str, user: pwd.struct_passwd, home: Path) -> str:
    """A line of the server's own password file: no account is added to this machine."""
    hashed = subprocess.run(
        [binary("openssl", "apt-get install -y openssl"), "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return f"{USERNAME}:{hashed}:{user.pw_uid}:{user.pw_gid}::{home}:/bin/false\n"


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
