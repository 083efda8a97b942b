"""Delivery to a customer's Google Cloud Storage bucket (DX-050 to DX-063)."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import AliasChoices, Field, field_validator

from outfeed.connectors.base import ConnectionId, Connector, DestinationOptions, OurSide

#: All that we ever need on a customer's bucket (DX-058 to DX-062).
PERMISSIONS = ("storage.objects.create", "storage.objects.list", "storage.objects.get", "storage.buckets.get")


def _bucket_problem(bucket: str) -> str | None:
    """Why `bucket` can't be the name of a GCS bucket, or None."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        return (
            "a bucket name has 3 to 63 lower-case letters, digits or any of '-_.', and begins and ends well"
        )
    parts = bucket.split(".")
    if any(not 1 <= len(part) <= 63 for part in parts) or len(bucket) > (63 if len(parts) == 1 else 222):
        return "a bucket name, and each part of it between dots, has at most 63 characters"
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", bucket):
        return "a bucket name is no IP address"
    if bucket.startswith("goog") or "google" in bucket:
        return "Google gives no bucket a name that begins with 'goog' or holds 'google'"
    return None


class GcsOptions(DestinationOptions):
    """A bucket and a prefix of the customer, written with four permissions only (DX-062)."""

    type: Literal["gcs"]
    storage_uri: str = Field(
        validation_alias=AliasChoices("storage_uri", "external_storage_uri"),
        description="`gs://bucket/prefix/`; all files land below it (DX-051, DX-052).",
    )
    connection: ConnectionId | None = Field(
        default=None,
        description="Airflow connection of the service account; without it the worker's own Google identity.",
    )

    @field_validator("storage_uri")
    @classmethod
    def _gcs_path(cls, value: str) -> str:
        if not value.startswith("gs://"):
            raise ValueError(f"{value!r} is no GCS path: write gs://bucket/prefix/")
        bucket, _, prefix = value.removeprefix("gs://").partition("/")
        problem = _bucket_problem(bucket)
        if problem:
            raise ValueError(f"{value!r} names no valid bucket: {problem}")
        parts = prefix.strip("/").split("/") if prefix.strip("/") else []
        if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\\?#*\[\]]", prefix):
            raise ValueError(f"{value!r} has a prefix with an empty part, '..' or a character of a pattern")
        return "/".join(["gs:/", bucket, *parts, ""])

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.storage_uri.removeprefix("gs://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """What each object name begins with: empty, or ending in a slash."""
        return self.storage_uri.removeprefix("gs://").partition("/")[2]

    def location(self) -> str:
        """`gs://bucket/prefix/`, the same with and without the trailing slash in the YAML."""
        return self.storage_uri

    def pool_name(self) -> str:
        """One pool per bucket: the service itself is too large to be bounded by us."""
        return f"destination_gcs_{self.bucket}"

    def name_problem(self, customer: str) -> str | None:
        """A service account's id has 6 to 30 characters, and Google allows no underscore (D33, DX-057)."""
        account = _service_account_id(customer)
        if re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", account):
            return None
        return (
            f"{account!r} can't be a Google service account: "
            "6 to 30 lower-case letters, digits and '-', not ending in '-'"
        )

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """Our service account and the four permissions that it needs (DX-057 to DX-061)."""
        project = ours.google_project or "<project>"
        account = f"{_service_account_id(customer)}@{project}.iam.gserviceaccount.com"
        return {
            "Our service account": [account],
            f"Permissions that it needs on the bucket {self.bucket}": list(PERMISSIONS),
        }


def _service_account_id(customer: str) -> str:
    return f"customer-{customer}"


class GcsConnector(Connector):
    """Delivers to Google Cloud Storage."""

    type = "gcs"
    options_model = GcsOptions
