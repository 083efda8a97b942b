"""What each request to a bucket of S3's says: which object, which digest, and what an error means."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from outfeed.connectors.s3_client import translated
from outfeed.connectors.s3_direct import DirectPuts

#: How an argument of boto3's is written in a request.
HEADERS = {
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentMD5": "Content-MD5",
    "IfNoneMatch": "If-None-Match",
}


@dataclasses.dataclass(frozen=True)
class Prefix:
    """Where the objects are: the prefix is empty or ends in a slash; `location` names it in messages."""

    bucket: str
    prefix: str
    location: str


@dataclasses.dataclass(frozen=True)
class S3Store:
    """A prefix of a bucket, and the two ways to send contents there.

    Attributes:
        checksums: whether the store takes SHA-256; else it gets MD5.
        permissions: which one each operation needs, for messages.
    """

    client: Any
    direct: DirectPuts
    place: Prefix
    checksums: bool
    permissions: Mapping[str, str]

    def faults(self, doing: str) -> AbstractContextManager[None]:
        """Turns boto's errors into ours; `doing` completes 'could not …'."""
        return translated(doing, self.place.location, self.permissions)

    def key(self, path: str) -> str:
        """The key of an object."""
        return f"{self.place.prefix}{path}"

    def object(self, path: str) -> dict[str, str]:
        """The arguments that name an object."""
        return {"Bucket": self.place.bucket, "Key": self.key(path)}

    def digest(self, content: bytes, sha256: str | None = None) -> dict[str, str]:
        """The argument by which the service checks what it received; `sha256` is known or computed."""
        if self.checksums:
            known = bytes.fromhex(sha256) if sha256 else hashlib.sha256(content).digest()
            return {"ChecksumSHA256": base64.b64encode(known).decode()}
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}
