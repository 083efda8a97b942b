"""Delivery to a customer's bucket of Amazon S3 or a compatible store (DX-032)."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from outfeed.connectors.base import ConnectionId, Connector, DestinationOptions


class S3Options(DestinationOptions):
    """A bucket and a prefix of the customer."""

    type: Literal["s3"]
    s3_bucket: str = Field(description="Name of the bucket.")
    s3_key_prefix: str = Field(default="", description="All files land below it.")
    connection: ConnectionId | None = Field(
        default=None,
        description="Airflow connection with keys, role or endpoint; without it the worker's own identity.",
    )
    checksum_mode: Literal["when_supported", "when_required"] = Field(
        default="when_supported",
        description="`when_required` for stores that refuse additional checksums: only sizes are compared.",
    )

    @field_validator("s3_bucket")
    @classmethod
    def _bucket_name(cls, value: str) -> str:
        if not re.fullmatch(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
            raise ValueError(f"{value!r} is no bucket name: 3 to 63 lower-case letters, digits, '-' or '.'")
        return value

    @field_validator("s3_key_prefix")
    @classmethod
    def _normal_prefix(cls, value: str) -> str:
        parts = value.strip("/").split("/") if value.strip("/") else []
        if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\\]", value):
            raise ValueError(
                f"{value!r} is no prefix: it has an empty part, '..', '\\' or a control character"
            )
        return "".join(f"{part}/" for part in parts)

    def location(self) -> str:
        """`s3://bucket/prefix/`, the same with and without the trailing slash in the YAML."""
        return f"s3://{self.s3_bucket}/{self.s3_key_prefix}"

    def pool_name(self) -> str:
        """One pool per bucket."""
        return f"destination_s3_{self.s3_bucket}"


class S3Connector(Connector):
    """Delivers to S3."""

    type = "s3"
    options_model = S3Options
