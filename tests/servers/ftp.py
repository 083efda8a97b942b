"""A real FTP server (vsftpd): plain FTP and explicit FTPS on one port, for one user with a password."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.certificates import make_certificates
from tests.servers.folders import empty_folder
from tests.servers.process import MissingServerError, binary, free_ports, running, scratch

INSTALL = "apt-get install -y --no-install-recommends vsftpd libpam-pwdfile openssl"

USERNAME = "customer"
#: Comes with the package; a home directory must exist.
ACCOUNT = "ftp"


@dataclasses.dataclass(frozen=True)
class FtpServer:
    """A running server.

    Attributes:
        folder: what the user sees as `/`, on this machine.
        ca: PEM of the CA that signed the server's certificate.
        log: the protocol as the server saw it; each command and answer.
    """

    host: str
    port: int
    username: str
    password: str
    folder: Path
    ca: str
    log: Path

    def make_base(self, name: str) -> tuple[str, Path]:
        """Makes an empty base directory of that name; returns it as the client and as this machine see it."""
        return f"/{name}", empty_folder(self.folder / name, self.user)

    @property
    def user(self) -> pwd.struct_passwd:
        """The account that all files belong to."""
        return pwd.getpwnam(ACCOUNT)


@contextlib.contextmanager
def ftp_server(*settings: str, names: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Iterator[FtpServer]:
    """A vsftpd that continues TLS sessions only (`require_ssl_reuse`, its default) on a free port.

    Args:
        settings: further lines of vsftpd.conf, such as `max_per_ip=2`.
        names: hosts that the certificate is for.
    """
    vsftpd = binary("vsftpd", INSTALL)
    if os.geteuid() != 0:
        raise MissingServerError("vsftpd logs users in through PAM, for which it must run as root: use sudo")
    (port,) = free_ports(1)
    password = secrets.token_urlsafe(16)
    user = pwd.getpwnam(ACCOUNT)
    certificates = make_certificates(*names)
    with scratch("ftp", root_owned=True) as folder, _login_service(folder, password) as service:
        root = empty_folder(folder / "root", user)
        (folder / "certificate.pem").write_text(certificates.certificate)
        write_secret(folder / "key.pem", certificates.key)
        config = [
            "listen=YES",
            "listen_address=127.0.0.1",
            f"listen_port={port}",
            "background=NO",
            "anonymous_enable=NO",
            "local_enable=YES",
            "guest_enable=YES",
            f"guest_username={user.pw_name}",
            "virtual_use_local_privs=YES",
            f"pam_service_name={service}",
            f"local_root={root}",
            "chroot_local_user=YES",
            "allow_writeable_chroot=YES",
            "write_enable=YES",
            "local_umask=022",
            "seccomp_sandbox=NO",
            "isolate=NO",
            "isolate_network=NO",
            "delay_failed_login=0",
            "ssl_enable=YES",
            "require_ssl_reuse=YES",
            "force_local_logins_ssl=NO",
            "force_local_data_ssl=NO",
            "ssl_ciphers=HIGH",
            f"rsa_cert_file={folder}/certificate.pem",
            f"rsa_private_key_file={folder}/key.pem",
            "xferlog_enable=YES",
            "log_ftp_protocol=YES",
            f"vsftpd_log_file={folder}/protocol",
            *settings,
        ]
        (folder / "vsftpd.conf").write_text("\n".join(config) + "\n")
        with running([vsftpd, str(folder / "vsftpd.conf")], port=port, log=folder / "log"):
            yield FtpServer(
                host="127.0.0.1",
                port=port,
                username=USERNAME,
                password=password,
                folder=root,
                ca=certificates.ca,
                log=folder / "protocol",
            )


@contextlib.contextmanager
def _login_service(folder: Path, password: str) -> Iterator[str]:
    """A PAM service that lets in whoever knows the password: no account is added to this machine."""
    users = folder / "users"
    write_secret(users, f"{USERNAME}:{password_hash(password)}\n")
    service = Path("/etc/pam.d") / f"outfeed-{folder.name}"
    service.write_text(f"auth required pam_pwdfile.so pwdfile={users}\naccount required pam_permit.so\n")
    try:
        yield service.name
    finally:
        service.unlink()


def password_hash(password: str) -> str:
    """As files of users hold a password."""
    return subprocess.run(
        [binary("openssl", "apt-get install -y openssl"), "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
