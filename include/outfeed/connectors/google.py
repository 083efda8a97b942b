"""Delivery to a customer's Google Storage bucket with an HMAC key, as in document 002 (VI-D17 to VI-D21)."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field, field_validator

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
from outfeed.connectors.google_names import bucket_problem
from outfeed.connectors.google_objects import GoogleObjects, google_origin, open_client
from outfeed.connectors.s3_client import translated
from outfeed.connectors.s3_direct import DirectPuts
from outfeed.connectors.s3_store import Prefix
from outfeed.connectors.transfer import SourceReader
from outfeed.errors import TransientError


class GoogleOptions(DestinationOptions):
    """A bucket of the customer's, reached with their HMAC key. With a service account it is type `gcs`."""

    type: Literal["google"]
    google_bucket: str = Field(description="Name of the bucket (VI-D17).")
    google_key_prefix: str = Field(default="", description="All files land below it.")
    connection: ConnectionId = Field(
        description="Airflow connection: login is the access key, password the secret key (VI-D18, VI-D19)."
    )

    @field_validator("google_bucket")
    @classmethod
    def _bucket_name(cls, value: str) -> str:
        problem = bucket_problem(value)
        if problem:
            raise ValueError(f"{value!r} is no bucket name: {problem}")
        return value

    @field_validator("google_key_prefix")
    @classmethod
    def _normal_prefix(cls, value: str) -> str:
        return folder_prefix(value)

    def location(self) -> str:
        """`gs://bucket/prefix/`: the same place as with a service account."""
        return f"gs://{self.google_bucket}/{self.google_key_prefix}"

    def pool_name(self) -> str:
        """One pool per bucket, shared with deliveries by a service account."""
        return f"destination_gcs_{self.google_bucket}"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """What the customer prepares (VI-D18, VI-D21)."""
        permissions = sorted(set(GoogleObjects.permissions.values()) - {"storage.objects.delete"})
        return {
            "You prepare": [
                "a service account of yours, and an HMAC key of it: console, Cloud Storage, Settings, "
                "Interoperability (https://cloud.google.com/storage/docs/authentication/managing-hmackeys)",
                f"its permissions on the bucket {self.google_bucket}: {', '.join(permissions)}; none to "
                "delete is needed, and none for uploads in parts: each file is sent in one request",
            ],
            "You give us": ["the access key, and the secret key in a safe way, never by e-mail"],
        }


class GoogleConnector(BucketConnector):
    """Delivers to Google Storage as to S3, but with Google's signature and condition.

    See the base classes for the promises. An object appears whole or not at all, and only if its name is
    free (`x-goog-if-generation-match: 0`); its MD5 as the service computed it equals ours. Where the service
    reports none, because the customer's own key encrypts the bucket, the object is read back.
    """

    type = "google"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum="md5")
    options_model = GoogleOptions

    def __init__(self, options: GoogleOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options

    def _open_objects(self) -> GoogleObjects:
        options = self._options
        place = Prefix(options.google_bucket, options.google_key_prefix, options.location())
        with translated("open a client", place.location):
            client = open_client(options, self.credentials)
        direct = DirectPuts(client, partial(google_origin, client, place.bucket, self.credentials))
        return GoogleObjects(client, direct, place, self._room, checksums=False)

    def _verified(self, file: Outgoing, reader: SourceReader, checksum: str) -> Delivered:
        head = self._objects.head(file.path) or {}
        reported, verified = self._objects.checksum(head), "md5"
        same = head.get("ContentLength") == reader.bytes
        if same and reported != checksum:
            # An ETag may look like an MD5 and be something else: only the bytes decide.
            verified = "read-back"
            same = self._objects.remote_sha256(file.path) == reader.sha256
        if not same:
            raise TransientError(
                f"{file.path} is reported as {head.get('ContentLength')} bytes with MD5 {reported}, not as "
                f"the {reader.bytes} bytes with {checksum} that were sent",
                where=self._location,
                remedy="retried under another name",
            )
        return Delivered(file.path, reader.bytes, reader.sha256, "created", verified)
