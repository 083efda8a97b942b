"""Delivery to a customer's container of Azure Blob Storage."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from outfeed.connectors.azure_client import open_container
from outfeed.connectors.azure_objects import AzureObjects
from outfeed.connectors.base import (
    Capabilities,
    ConnectionId,
    Credentials,
    Delivered,
    DestinationOptions,
    OurSide,
    Outgoing,
)
from outfeed.connectors.bucket import BucketConnector, folder_prefix
from outfeed.connectors.transfer import SourceReader
from outfeed.errors import TransientError

_SUFFIX = ".blob.core.windows.net"

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class AzureBlobOptions(DestinationOptions):
    """A container and a prefix of the customer."""

    type: Literal["azure_blob"]
    storage_account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        description="Name of the storage account, `<account>.blob.core.windows.net`.",
    )
    account_url: str | None = Field(
        default=None,
        description="Instead of the name, for another cloud or a private address: `https://…`, without SAS.",
    )
    container: str = Field(description="Name of the container.")
    prefix: str = Field(default="", description="All files land below it.")
    connection: ConnectionId | None = Field(
        default=None,
        description="Airflow connection (type wasb) with account key, SAS or service principal; without it "
        "the worker's own identity.",
    )

    @field_validator("container")
    @classmethod
    def _container_name(cls, value: str) -> str:
        if not re.fullmatch(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", value):
            raise ValueError(
                f"{value!r} is no container name: 3 to 63 lower-case letters, digits or single '-'"
            )
        return value

    @field_validator("prefix")
    @classmethod
    def _normal_prefix(cls, value: str) -> str:
        return folder_prefix(value)

    @field_validator("account_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        # The value is not repeated: it may hold a SAS.
        if url.query or url.fragment or url.username or url.password:
            raise ValueError("an account's URL has no '?', '#' or login: a SAS belongs into the connection")
        if not url.hostname or (url.scheme != "https" and url.hostname not in _LOOPBACK):
            raise ValueError("write https://<account>.blob.core.windows.net")
        return f"{url.scheme}://{url.netloc.lower()}{url.path.rstrip('/')}"

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if (self.storage_account is None) == (self.account_url is None):
            raise ValueError("name the account: either storage_account or account_url")
        return self

    @property
    def endpoint(self) -> str:
        """URL of the account."""
        return self.account_url or f"https://{self.storage_account}{_SUFFIX}"

    @property
    def account(self) -> str:
        """Name of the account as its URL tells: the first label of its host, or an emulator's path."""
        url = urlsplit(self.endpoint)
        return url.path.strip("/") or str(url.hostname).partition(".")[0]

    def location(self) -> str:
        """`azure://account/container/prefix/`; for another cloud than the public one with its whole host."""
        place = self.endpoint.partition("://")[2].removesuffix(_SUFFIX)
        return f"azure://{place}/{self.container}/{self.prefix}"

    def pool_name(self) -> str:
        """One pool per container."""
        return re.sub(r"[^\w.-]", "_", f"destination_azure_{self.account}_{self.container}")

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """What the customer prepares."""
        return {
            "You prepare": [
                f"the container {self.container} in the storage account {self.account}, which lets our "
                "addresses in",
                "for us one of: a SAS of this container with the permissions read, write, create and list "
                "(rwcl), HTTPS only; or a service principal with a role that has the data actions blobs/read "
                "and blobs/write (Storage Blob Data Contributor has them). No right to delete is needed; "
                "without it a small test file of each connection test stays",
            ],
            "You give us": [
                "the name of the account, and in a safe way, never by e-mail, the SAS with its end date, or "
                "tenant id, client id and secret",
            ],
        }


class AzureBlobConnector(BucketConnector):
    """Delivers to Azure: a blob appears whole or not at all, and only if its name is free (`If-None-Match`).

    See the base classes for the promises. The service checks the MD5 of each request; that of the whole blob
    is stored with it, so that every reader can check it.
    """

    type = "azure_blob"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum="md5")
    options_model = AzureBlobOptions

    def __init__(self, options: AzureBlobOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options

    def _open_objects(self) -> AzureObjects:
        container = open_container(self._options, self.credentials)
        return AzureObjects(container, self._options.prefix, self._location)

    def _verified(self, file: Outgoing, reader: SourceReader, checksum: str) -> Delivered:
        head = self._objects.head(file.path) or {}
        reported = self._objects.checksum(head)
        if (head.get("ContentLength"), reported) != (reader.bytes, checksum):
            raise TransientError(
                f"{file.path} is reported as {head.get('ContentLength')} bytes with MD5 {reported}, not as "
                f"the {reader.bytes} bytes with {checksum} that were sent",
                where=self._location,
                remedy="retried under another name",
            )
        return Delivered(file.path, reader.bytes, reader.sha256, "created", "md5")
