"""Connectors, found by their `type` name. Importing this package imports no cloud SDK."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from outfeed.connectors.azure_blob import AzureBlobConnector, AzureBlobOptions
from outfeed.connectors.base import Connector, Credentials, DestinationOptions
from outfeed.connectors.email_link import EmailConnector, EmailOptions
from outfeed.connectors.ftp import FtpConnector, FtpOptions, over_ssh
from outfeed.connectors.gcs import GcsConnector, GcsOptions
from outfeed.connectors.google import GoogleConnector, GoogleOptions
from outfeed.connectors.local import LocalConnector, LocalOptions
from outfeed.connectors.s3 import S3Connector, S3Options
from outfeed.connectors.sftp import SftpConnector, SftpOptions

CONNECTORS: dict[str, type[Connector]] = {
    connector.type: connector
    for connector in (
        AzureBlobConnector,
        EmailConnector,
        FtpConnector,
        GcsConnector,
        GoogleConnector,
        LocalConnector,
        S3Connector,
        SftpConnector,
    )
}


def _document_names(value: Any) -> Any:
    """Accepts document 000's key `connector_type` for `type`, and its `GCP` for `gcs` (DX-015).

    Document 002's FTP on port 22 is SFTP (VI-D12).
    """
    if not isinstance(value, dict):
        return value
    renamed = dict(value)
    if "connector_type" in renamed and "type" not in renamed:
        renamed["type"] = renamed.pop("connector_type")
    kind = renamed.get("type")
    if isinstance(kind, str):
        lowered = kind.lower().removesuffix(" connector")
        renamed["type"] = {"gcp": "gcs", "email_link": "email"}.get(lowered, lowered)
    return over_ssh(renamed)


DestinationModel = Annotated[
    Annotated[
        AzureBlobOptions
        | EmailOptions
        | FtpOptions
        | GcsOptions
        | GoogleOptions
        | LocalOptions
        | S3Options
        | SftpOptions,
        Field(discriminator="type"),
    ],
    BeforeValidator(_document_names),
]


def open_connector(options: DestinationOptions, credentials: Credentials, *, attempt: str) -> Connector:
    """The connector of a destination, not yet connected."""
    kind: str = getattr(options, "type")  # noqa: B009 - every member of the union has it, the base has not
    return CONNECTORS[kind](options, credentials, attempt=attempt)
