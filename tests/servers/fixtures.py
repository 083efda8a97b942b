"""One server of each kind per test session; started only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.azurite import AzuriteServer, azurite_server
from tests.servers.ftp import FtpServer, ftp_server
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.google_xml import GoogleXml, google_xml
from tests.servers.mariadb import MariadbServer, mariadb_server
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.proftpd import proftpd_server, proftpd_sftp_server
from tests.servers.s3 import S3Server, s3_server
from tests.servers.smtp import SmtpSink, smtp_sink
from tests.servers.sshd import SshServer, ssh_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; make a database of your own with `create_database`."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """A MariaDB server; make a database of your own with `create_database`."""
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def sshd() -> Iterator[SshServer]:
    """An OpenSSH server; make a base directory of your own with `make_base`."""
    with ssh_server() as server:
        yield server


@pytest.fixture(scope="session")
def ftp() -> Iterator[FtpServer]:
    """An FTP server, plain and FTPS; make a base directory of your own with `make_base`."""
    with ftp_server() as server:
        yield server


@pytest.fixture(scope="session")
def proftpd() -> Iterator[FtpServer]:
    """Another FTP server, plain and FTPS; make a base directory of your own with `make_base`."""
    with proftpd_server() as server:
        yield server


@pytest.fixture(scope="session")
def proftpd_sftp() -> Iterator[SshServer]:
    """Another SFTP server; make a base directory of your own with `make_base`."""
    with proftpd_sftp_server() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    """A Google Cloud Storage stand-in; make a bucket of your own with `make_bucket`."""
    with gcs_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server; make a bucket of your own with `make_bucket`."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteServer]:
    """An Azure Blob Storage stand-in; make a container of your own with `make_container`."""
    with azurite_server() as server:
        yield server


@pytest.fixture
def google(s3: S3Server) -> Iterator[GoogleXml]:
    """Google's XML API in front of the S3 server, without a request yet."""
    with google_xml(s3) as server:
        yield server


@pytest.fixture(scope="session")
def _smtp() -> Iterator[SmtpSink]:
    with smtp_sink() as sink:
        yield sink


@pytest.fixture
def smtp(_smtp: SmtpSink) -> SmtpSink:
    """A mail server, empty at the start of each test."""
    _smtp.clear()
    return _smtp
