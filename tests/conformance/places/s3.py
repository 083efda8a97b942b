"""S3, on SeaweedFS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import pytest

from outfeed.connectors import S3Options
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import NO_FOLDERS, NO_RENAME, Place, Right, unique
from tests.servers import versions
from tests.servers.s3 import S3Server, s3_server


class BucketPlace(Place):
    """Looked at with the owner's client of S3; unfinished uploads count as names."""

    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": NO_FOLDERS, "rename": NO_RENAME}
    server: S3Server

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.make_bucket("customer")
        self.prefix = f"testing/{unique('base')}/"

    def sizes(self) -> dict[str, int]:
        client = self.server.client()
        outside = client.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        assert [entry["Prefix"] for entry in outside.get("CommonPrefixes", [])] in ([], ["testing/"])
        assert not outside.get("Contents")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        found = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
        uploads = client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix).get("Uploads", [])
        found |= {f"{upload['Key']}?unfinished": 0 for upload in uploads}
        return {name.removeprefix(self.prefix): size for name, size in found.items()}

    def blocks(self, path: str) -> Iterator[bytes]:
        body = self.server.client().get_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")["Body"]
        yield from body.iter_chunks(1 << 20)

    def put(self, path: str, data: bytes) -> None:
        self.server.client().put_object(Bucket=self.bucket, Key=f"{self.prefix}{path}", Body=data)

    def remove(self, path: str) -> None:
        self.server.client().delete_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")


class S3Place(BucketPlace):
    fixture = "s3"
    evidence = "another product that speaks S3; Amazon's was not tried"
    verified = "sha256"
    meaningless: ClassVar[Mapping[Right, str]] = {
        **BucketPlace.meaningless,
        "overwrite": "no right of its own at S3: each request carries If-None-Match",
    }

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        self.options = S3Options(type="s3", name="s3", s3_bucket=self.bucket, s3_key_prefix=self.prefix)
        self.credentials = Credentials(
            login=server.access_key,
            password=server.secret_key,
            extra={
                "endpoint_url": server.endpoint,
                "region_name": server.region,
                "addressing_style": "path",
            },
        )

    def product(self) -> str:
        return versions.seaweedfs()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        """In a role whose policy denies removing."""
        assert right == "delete"
        self.credentials = Credentials(
            login=self.server.reader_access_key,
            password=self.server.reader_secret_key,
            extra=self.credentials.extra | {"role_arn": self.server.keeper_role_arn},
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_STS", self.server.endpoint)
            yield self, "an IAM role with `Deny s3:DeleteObject`"

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        how = "the server's files on a file system of 40 MB"
        with s3_server(megabytes=40) as server:
            yield (
                type(self)(server),
                100_000_000,
                server.give_room,
                how,
            )
