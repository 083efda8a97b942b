"""The objects below a prefix of a Google bucket, over the XML API with HMAC keys."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from outfeed.connectors import s3_client
from outfeed.connectors.base import BLOCK_SIZE, Credentials, Outgoing
from outfeed.connectors.google_signature import HmacKey, signed_headers
from outfeed.connectors.s3_client import check_keys, is_taken
from outfeed.connectors.s3_direct import Origin
from outfeed.connectors.s3_objects import S3Objects
from outfeed.connectors.transfer import Created, SourceReader
from outfeed.errors import Action, TerminalError

if TYPE_CHECKING:
    from outfeed.connectors.google import GoogleOptions

ENDPOINT = "https://storage.googleapis.com"

_ONLY_IF_FREE = {"x-goog-if-generation-match": "0"}


def open_client(options: GoogleOptions, credentials: Credentials) -> Any:
    """A client that has made no request yet, and whose every object is created only if its name is free.

    Raises:
        TerminalError: the connection lacks the key or its secret (VI-D18, VI-D19).
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    check_keys(credentials, options.location())
    if not (credentials.login and credentials.password):
        raise TerminalError(
            "the connection of this destination has no HMAC key",
            where=options.location(),
            action=Action.OPERATOR,
            remedy="put the customer's access key into its login and the secret key into its password",
        )
    config = Config(
        # We sign ourselves; see google_signature.
        signature_version=UNSIGNED,
        connect_timeout=s3_client.CONNECT_TIMEOUT,
        read_timeout=s3_client.READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=options.parallel,
        s3={"addressing_style": "path"},
        # Google refuses additional checksums (boto3 issue 4400).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    endpoint = credentials.extra.get("endpoint_url") or ENDPOINT
    client = boto3.Session().client("s3", endpoint_url=endpoint, region_name="auto", config=config)
    client.meta.events.register("before-call.s3.PutObject", _only_if_free)
    client.meta.events.register_last("before-sign.s3", HmacKey(credentials.login, credentials.password).sign)
    return client


def _only_if_free(params: dict[str, Any], **_: Any) -> None:
    params["headers"].update(_ONLY_IF_FREE)


def google_origin(client: Any, bucket: str, credentials: Credentials) -> Origin:
    """Where a bucket's objects are; each is created only if its name is free."""
    key = HmacKey(credentials.login or "", credentials.password or "")
    return Origin(f"{client.meta.endpoint_url}/{bucket}/", partial(signed_headers, key), _ONLY_IF_FREE)


class GoogleObjects(S3Objects):
    """Guarantees that no request creates an object over another one.

    Each object is sent in one request, whatever its size: an upload in parts ignores the condition at its
    end. Google publishes nothing of a request that is cut off.
    """

    permissions: ClassVar[Mapping[str, str]] = {
        "PutObject": "storage.objects.create",
        "HeadObject": "storage.objects.get",
        "GetObject": "storage.objects.get",
        "ListObjectsV2": "storage.objects.list",
        "DeleteObject": "storage.objects.delete",
    }
    # The client adds the header itself.
    condition: ClassVar[Mapping[str, str]] = {}
    condition_name: ClassVar[str] = "x-goog-if-generation-match"

    def put(self, file: Outgoing, content: bytes, reader: SourceReader) -> Created | None:
        """Creates an object in one request; None if the name is taken."""
        try:
            return super().put(file, content, reader)
        except TerminalError:
            # Who may not delete may not overwrite: Google can say so before it looks at the condition.
            if self._seen(file.path):
                return None
            raise

    def _created(
        self, reader: SourceReader, digest: Mapping[str, str], headers: Mapping[str, str]
    ) -> Created:
        md5 = base64.b64decode(digest["ContentMD5"]).hex()
        stated = self.checksum({"ETag": headers.get("etag"), "ResponseMetadata": {"HTTPHeaders": headers}})
        return Created(md5, "md5" if stated == md5 else None)

    def put_parts(self, file: Outgoing, first: bytes, reader: SourceReader, size: int) -> Created | None:
        """Creates a large object in one request that reads as it sends; returns as `put` does."""
        from botocore.exceptions import BotoCoreError, ClientError

        if self._seen(file.path):
            return None
        body = _Body(first, reader)
        length = {} if file.size is None else {"ContentLength": file.size}
        with self.faults(f"create {file.path}"):
            try:
                self._client.put_object(
                    **self._store.object(file.path), **length, Body=body, ContentType=file.content_type
                )
            except (BotoCoreError, ClientError) as error:
                if body.fault is not None:
                    raise body.fault from None
                if is_taken(error):
                    return None
                raise
        return Created(body.md5)

    def checksum(self, head: dict[str, Any]) -> str | None:
        """The hex MD5 that the store reports; none where the customer's own key encrypts the object."""
        stated = head.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-goog-hash", "")
        found = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", stated)
        if found:
            return base64.b64decode(found[1]).hex()
        etag = str(head.get("ETag", "")).strip('"')
        return etag if re.fullmatch("[0-9a-f]{32}", etag) else None


class _Body:
    """A source as the stream that boto wants; can be read once, so that a request of it is never repeated.

    Attributes:
        fault: what reading raised: boto would hide it.
    """

    def __init__(self, first: bytes, reader: SourceReader) -> None:
        self._reader = reader
        self._md5 = hashlib.md5(first, usedforsecurity=False)
        self._block = memoryview(first)
        self.fault: BaseException | None = None

    @property
    def md5(self) -> str:
        """Hex digest of what was read."""
        return self._md5.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """The next bytes; boto asks for small pieces, so they come from larger blocks."""
        if not self._block and not self._reader.finished:
            try:
                block = self._reader.block(BLOCK_SIZE)
            except BaseException as fault:
                self.fault = fault
                raise
            self._md5.update(block)
            self._block = memoryview(block)
        piece = bytes(self._block if size < 0 else self._block[:size])
        self._block = self._block[len(piece) :]
        return piece
