"""Delivery to a customer's bucket of Amazon S3 or a compatible store (DX-032, VI-D01 to VI-D08)."""

from __future__ import annotations

import dataclasses
import json
import re
from functools import partial
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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
from outfeed.connectors.s3_client import open_client, translated
from outfeed.connectors.s3_direct import DirectPuts, amazon_origin
from outfeed.connectors.s3_objects import S3Objects
from outfeed.connectors.s3_store import Prefix
from outfeed.connectors.transfer import SourceReader
from outfeed.errors import TransientError

#: What a delivery needs; without the ones on uploads in parts a try that broke off leaves more to do, see
#: docs/operations.md.
_BUCKET_ACTIONS = ("s3:ListBucket", "s3:ListBucketMultipartUploads")
_OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


class S3Options(DestinationOptions):
    """A bucket and a prefix of the customer."""

    type: Literal["s3"]
    s3_bucket: str = Field(description="Name of the bucket.")
    s3_key_prefix: str = Field(default="", description="All files land below it.")
    connection: ConnectionId | None = Field(
        default=None,
        description="Airflow connection with keys, role or endpoint; without it the worker's own identity.",
    )
    s3_assume_role: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$",
        description="ARN of a role to act in, for a bucket of another account (VI-D08).",
    )
    s3_external_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_+=,.@:/-]+$",
        description="External id that the role asks for; it identifies us and is no secret.",
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
        return folder_prefix(value)

    @model_validator(mode="after")
    def _external_id_only_with_role(self) -> Self:
        # A role may also be named by the connection.
        if self.s3_external_id and not self.s3_assume_role and not self.connection:
            raise ValueError("s3_external_id has a meaning only with s3_assume_role")
        return self

    def location(self) -> str:
        """`s3://bucket/prefix/`, the same with and without the trailing slash in the YAML."""
        return f"s3://{self.s3_bucket}/{self.s3_key_prefix}"

    def pool_name(self) -> str:
        """One pool per bucket."""
        return f"destination_s3_{self.s3_bucket}"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """The bucket, the rights that we need there and no others, and what we are told (VI-D02, VI-D08)."""
        return {
            "You prepare": [
                f"the bucket {self.s3_bucket}, with Object Ownership 'Bucket owner enforced' (Amazon's "
                "default): what we deliver is yours",
                f"an identity for us with this policy and no other:{_fenced(self._policy())}",
                "that is all a delivery needs; no right to delete is. Without it a small test file of each "
                "connection test stays",
                "if a KMS key of yours encrypts the bucket: kms:GenerateDataKey and kms:Decrypt on it",
                "a lifecycle rule that aborts incomplete multipart uploads after eight days or more, for "
                "what we can't abort: Amazon charges for it",
            ],
            "We log in": self._logins(),
            "You give us": [
                "the region of the bucket; the address of the store if it is not Amazon's",
                "a key only in a safe way, never by e-mail",
            ],
        }

    def _policy(self) -> dict[str, object]:
        partition = self.s3_assume_role.split(":")[1] if self.s3_assume_role else "aws"
        bucket = f"arn:{partition}:s3:::{self.s3_bucket}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": list(_BUCKET_ACTIONS), "Resource": bucket},
                {
                    "Effect": "Allow",
                    "Action": list(_OBJECT_ACTIONS),
                    "Resource": f"{bucket}/{self.s3_key_prefix}*",
                },
            ],
        }

    def _logins(self) -> list[str]:
        if self.s3_assume_role is None:
            return [
                "with an access key of a user of yours that has the policy; or, better, in a role of yours "
                "that trusts our identity with an external id: tell us its ARN and the external id"
            ]
        external = self.s3_external_id
        named = f"the external id {external}" if external else "an external id that you choose"
        return [
            f"in your role {self.s3_assume_role}: its trust policy allows our identity, which we tell you, "
            f"sts:AssumeRole with {named} as condition sts:ExternalId"
        ]


def _fenced(policy: dict[str, object]) -> str:
    """JSON as a block that belongs to an item of a list in Markdown."""
    lines = ["```json", *json.dumps(policy, indent=2).splitlines(), "```"]
    return "".join(f"\n  {line}" for line in lines)


class S3Connector(BucketConnector):
    """Delivers to S3: an object appears whole or not at all, and only if its name is free (`If-None-Match`).

    See the base class for the promises. Its SHA-256 is sent with it, checked by the service, and compared
    with what the service answers or, together with the size, reports afterwards; where it reports none,
    `verified` is `size`.
    """

    type = "s3"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum="sha256")
    options_model = S3Options

    def __init__(self, options: S3Options, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options
        if options.checksum_mode == "when_required":
            self.capabilities = dataclasses.replace(self.capabilities, checksum=None)

    def _open_objects(self) -> S3Objects:
        """The bucket's objects, without a request."""
        options = self._options
        place = Prefix(options.s3_bucket, options.s3_key_prefix, options.location())
        with translated("open a client", place.location):
            client = open_client(options, self.credentials)
        direct = DirectPuts(client, partial(amazon_origin, client, place.bucket))
        checksums = options.checksum_mode == "when_supported"
        return S3Objects(client, direct, place, self._room, checksums=checksums)

    def _verified(self, file: Outgoing, reader: SourceReader, checksum: str) -> Delivered:
        """Compares what the store reports of a new object with what was sent."""
        head = self._objects.head(file.path) or {}
        reported = head.get("ChecksumSHA256")
        if head.get("ContentLength") != reader.bytes or reported not in (None, checksum):
            raise TransientError(
                f"{file.path} is reported as {head.get('ContentLength')} bytes with SHA-256 {reported}, not "
                f"as the {reader.bytes} bytes with {checksum} that were sent",
                where=self._location,
                remedy="retried under another name",
            )
        verified = "size" if reported is None else "sha256"
        return Delivered(file.path, reader.bytes, reader.sha256, "created", verified)
