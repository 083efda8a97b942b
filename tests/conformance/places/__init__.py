"""The kinds of destination on real servers, a look at each without our connectors, and how each refuses.

Adding a connector to the suite is one module of one class here and its line in `PLACES`.
"""

from tests.conformance.places.azure_blob import AzureBlobPlace
from tests.conformance.places.base import Place
from tests.conformance.places.email import EmailPlace
from tests.conformance.places.ftp import FtpPlace, FtpsPlace, ProftpdPlace
from tests.conformance.places.gcs import GcsPlace
from tests.conformance.places.google import GooglePlace
from tests.conformance.places.local import LocalPlace
from tests.conformance.places.s3 import S3Place
from tests.conformance.places.sftp import ProftpdSftpPlace, SftpPlace

__all__ = [
    "PLACES",
    "AzureBlobPlace",
    "EmailPlace",
    "FtpPlace",
    "FtpsPlace",
    "GcsPlace",
    "GooglePlace",
    "LocalPlace",
    "Place",
    "ProftpdPlace",
    "ProftpdSftpPlace",
    "S3Place",
    "SftpPlace",
]

#: Every kind of destination; a connector may have several, one for each kind of server.
PLACES: dict[str, type[Place]] = {
    "local": LocalPlace,
    "sftp": SftpPlace,
    "sftp-proftpd": ProftpdSftpPlace,
    "ftp": FtpPlace,
    "ftps": FtpsPlace,
    "ftps-proftpd": ProftpdPlace,
    "s3": S3Place,
    "gcs": GcsPlace,
    "google": GooglePlace,
    "azure_blob": AzureBlobPlace,
    "email": EmailPlace,
}
