"""The objects below a prefix of a bucket: conditional create in one request or in parts, and looking."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from outfeed.connectors.base import BLOCK_SIZE, Outgoing
from outfeed.connectors.s3_client import PARTS_AT_ONCE, PERMISSIONS, is_missing, is_taken, translated
from outfeed.connectors.s3_direct import DirectPuts
from outfeed.connectors.transfer import Created, Room, SourceReader, altered
from outfeed.errors import Action, OutfeedError, TerminalError

#: Bytes of one request; a file of at most so many goes in one.
PART_SIZE = 8 << 20

#: S3 takes 10,000 parts.
_MAX_PARTS = 9_900

#: A file of unknown size gets larger parts the longer it grows, so that 5 TB fit.
_PARTS_PER_SIZE = 1_000

#: How an argument of boto3's is written in a request.
_HEADERS = {
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentMD5": "Content-MD5",
    "IfNoneMatch": "If-None-Match",
}

_CONTENT = b"Outfeed was here.\n"


def part_size(size: int | None) -> int:
    """Bytes per part, so that a file of this size needs no more parts than S3 takes."""
    return max(PART_SIZE, -(-(size or 0) // _MAX_PARTS))


def whole_sha256(head: dict[str, Any]) -> str | None:
    """The hex SHA-256 of the whole object, where the store reports one; that of parts is none."""
    checksum = head.get("ChecksumSHA256")
    if not checksum or "-" in checksum or head.get("ChecksumType") == "COMPOSITE":
        return None
    return base64.b64decode(checksum).hex()


@dataclasses.dataclass(frozen=True)
class Prefix:
    """Where the objects are: the prefix is empty or ends in a slash; `location` names it in messages."""

    bucket: str
    prefix: str
    location: str


class S3Objects:
    """Guarantees that no request creates an object over another one.

    Args:
        room: bounds what the parts in flight hold; who sends parts holds one of them.
    """

    #: Which permission each operation needs, for messages.
    permissions: ClassVar[Mapping[str, str]] = PERMISSIONS
    #: By what the store is told not to create over an existing object: arguments, and its name.
    condition: ClassVar[Mapping[str, str]] = {"IfNoneMatch": "*"}
    condition_name: ClassVar[str] = "If-None-Match"

    def __init__(
        self, client: Any, direct: DirectPuts, place: Prefix, room: Room, *, checksums: bool
    ) -> None:
        self._client = client
        self._direct = direct
        self._room = room
        self._senders = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="outfeed-part")
        self._location = place.location
        self._bucket = place.bucket
        self._prefix = place.prefix
        self._checksums = checksums

    def close(self) -> None:
        """Closes the connections."""
        self._senders.shutdown()
        self._client.close()

    def faults(self, doing: str) -> AbstractContextManager[None]:
        """Turns boto's errors into ours; `doing` completes 'could not …'."""
        return translated(doing, self._location, self.permissions)

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{path}"}

    def _digest(self, content: bytes, sha256: str | None = None) -> dict[str, str]:
        """The argument by which the service checks what it received; `sha256` is known or computed."""
        if self._checksums:
            known = bytes.fromhex(sha256) if sha256 else hashlib.sha256(content).digest()
            return {"ChecksumSHA256": base64.b64encode(known).decode()}
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}

    # -- creating

    def part_size(self, size: int | None) -> int:
        """Bytes per part of a file of this size."""
        return part_size(size)

    def put(self, file: Outgoing, content: bytes, reader: SourceReader) -> Created | None:
        """Creates an object in one request; None if the name is taken."""
        digest = self._digest(content, reader.sha256)
        stated = digest | dict(self.condition)
        headers = {_HEADERS[name]: value for name, value in stated.items()}
        with self.faults(f"create {file.path}"):
            answer = self._direct.put(
                f"{self._prefix}{file.path}", content, {**headers, "Content-Type": file.content_type}
            )
            taken = self._put(file, content, stated) if answer is None else answer.taken
        return None if taken else self._created(reader, digest, answer.headers if answer else {})

    def _put(self, file: Outgoing, content: bytes, stated: Mapping[str, str]) -> bool:
        """Has boto3 create an object; tells whether the name is taken."""
        from botocore.exceptions import ClientError

        try:
            self._client.put_object(
                **self._object(file.path), **stated, Body=content, ContentType=file.content_type
            )
        except ClientError as error:
            if is_taken(error):
                return True
            raise
        return False

    def _created(
        self, reader: SourceReader, digest: Mapping[str, str], headers: Mapping[str, str]
    ) -> Created:
        """What is known of a new object from the headers of the answer."""
        checksum = base64.b64encode(bytes.fromhex(reader.sha256)).decode()
        return Created(checksum, "sha256" if headers.get(_HEADERS["ChecksumSHA256"]) == checksum else None)

    def put_parts(self, file: Outgoing, first: bytes, reader: SourceReader, size: int) -> Created | None:
        """Creates an object from parts; its checksum is the composite one. None if the name is taken."""
        held = [first]
        del first
        if self._seen(file.path):
            return None
        self._abort_older(file.path)
        algorithm = {"ChecksumAlgorithm": "SHA256"} if self._checksums else {}
        with self.faults(f"create {file.path}"):
            upload = self._client.create_multipart_upload(
                **self._object(file.path), **algorithm, ContentType=file.content_type
            )["UploadId"]
        try:
            with self.faults(f"create {file.path}"):
                return self._send_parts(file, held, reader, size, upload)
        except BaseException:
            self._abort(file.path, upload)
            raise

    def _send_parts(
        self, file: Outgoing, first: list[bytes], reader: SourceReader, size: int, upload: str
    ) -> Created | None:
        """Sends parts, several at once as far as there is room, and makes an object of them."""
        block = first.pop()
        parts: list[dict[str, Any]] = []
        sending: deque[Future[dict[str, Any]]] = deque()
        taken = 0
        try:
            while block:
                number = len(parts) + len(sending) + 1
                sending.append(self._senders.submit(self._send_part, file.path, upload, number, block))
                block = b""  # Only who sends it still holds it.
                grown = size if file.size is not None else size << (number // _PARTS_PER_SIZE)
                if self._room.try_take(grown):
                    taken += grown
                else:
                    parts.append(sending.popleft().result())
                block = reader.block(grown)
            parts += [part.result() for part in sending]
        finally:
            # A part that arrived after the upload was aborted would stay.
            for part in sending:
                part.cancel()
            wait(sending)
            self._room.release(taken)
        return self._complete(file, upload, parts)

    def _send_part(self, path: str, upload: str, number: int, block: bytes) -> dict[str, Any]:
        """Sends a part; returns what names it when the upload is completed."""
        digest = self._digest(block)
        answer = self._direct.put(
            f"{self._prefix}{path}",
            block,
            {_HEADERS[name]: value for name, value in digest.items()},
            {"partNumber": str(number), "uploadId": upload},
        )
        if answer is not None and not answer.taken and "etag" in answer.headers:
            tag = answer.headers["etag"]
        else:
            tag = self._client.upload_part(
                **self._object(path), **digest, UploadId=upload, PartNumber=number, Body=block
            )["ETag"]
        kept = {name: value for name, value in digest.items() if name == "ChecksumSHA256"}
        return {"PartNumber": number, "ETag": tag, **kept}

    def _complete(self, file: Outgoing, upload: str, parts: list[dict[str, Any]]) -> Created | None:
        from botocore.exceptions import ClientError

        try:
            self._client.complete_multipart_upload(
                **self._object(file.path),
                **self.condition,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
            )
        except ClientError as error:
            if not is_taken(error):
                raise
            self._abort(file.path, upload)
            return None
        digests = b"".join(base64.b64decode(part.get("ChecksumSHA256", "")) for part in parts)
        return Created(f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(parts)}")

    def _seen(self, path: str) -> bool:
        """Whether the name is known to be taken, before much is sent for nothing."""
        try:
            return self.head(path) is not None
        except TerminalError:
            # Without the right to list, the service answers 403 for what does not exist.
            return False

    def _abort_older(self, path: str) -> None:
        """Ends uploads of the same object that dead tries left; a try that still lives is stopped by it."""
        with contextlib.suppress(OutfeedError), self.faults("list unfinished uploads"):
            key = self._object(path)["Key"]
            listed = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
            for upload in listed.get("Uploads", []):
                if upload["Key"] == key:
                    self._abort(path, upload["UploadId"])

    def _abort(self, path: str, upload: str) -> None:
        """Frees what was sent; without the right to, the customer's lifecycle rule does."""
        with contextlib.suppress(OutfeedError), self.faults("abort an upload"):
            self._client.abort_multipart_upload(**self._object(path), UploadId=upload)

    # -- looking

    def head(self, path: str) -> dict[str, Any] | None:
        """What the store says of an object, or None."""
        from botocore.exceptions import ClientError

        mode = {"ChecksumMode": "ENABLED"} if self._checksums else {}
        with self.faults(f"look at {path}"):
            try:
                found: dict[str, Any] = self._client.head_object(**self._object(path), **mode)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return found

    def checksum(self, head: dict[str, Any]) -> str | None:
        """The hex digest of the whole object that the store reports, if it does."""
        return whole_sha256(head)

    def remote_sha256(self, path: str) -> str:
        """The hex SHA-256 of an object, by reading it."""
        digest = hashlib.sha256()
        with self.faults(f"read {path}"):
            body = self._client.get_object(**self._object(path))["Body"]
            for block in body.iter_chunks(BLOCK_SIZE):
                digest.update(block)
        return digest.hexdigest()

    # -- preflight

    def try_list(self) -> str:
        """Lists the prefix."""
        with self.faults("list the prefix"):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        return "the prefix holds objects" if found.get("KeyCount") else "the prefix is empty"

    def try_put(self, path: str) -> str:
        """Creates a test object."""
        with self.faults("create a test object"):
            self._put_test(path)
        return f"created {path}"

    def try_overwrite(self, path: str) -> str:
        """Tries to create the test object again; the store must refuse."""
        from botocore.exceptions import ClientError

        with self.faults("try to overwrite the test object"):
            try:
                self._put_test(path)
            except ClientError as error:
                if is_taken(error):
                    return "the store refuses to create over an existing object"
                raise
        raise TerminalError(
            f"the store ignored {self.condition_name} and overwrote an object: files would not be safe there",
            where=self._location,
            action=Action.ENGINEER,
            remedy="use a store that honours conditional writes, or another connector",
        )

    def _put_test(self, path: str) -> None:
        self._client.put_object(
            **self._object(path),
            **self._digest(_CONTENT),
            **self.condition,
            Body=_CONTENT,
            ContentType="text/plain",
        )

    def try_head(self, path: str) -> str:
        """Looks at the test object."""
        head = self.head(path)
        if head is None or head["ContentLength"] != len(_CONTENT):
            raise altered(f"{path} is not reported as it was created", self._location)
        checksum = "with" if self.checksum(head) else "without"
        return f"the store reports size, {checksum} checksum"

    def try_get(self, path: str) -> str:
        """Reads the test object."""
        if self.remote_sha256(path) != hashlib.sha256(_CONTENT).hexdigest():
            raise altered(f"{path} reads back differently", self._location)
        return "read the same bytes back"

    def try_delete(self, path: str) -> str:
        """Removes the test object if we may."""
        try:
            with self.faults("remove the test object"):
                self._client.delete_object(**self._object(path))
        except OutfeedError as error:
            return f"{path} stays, because we may not delete; the customer may: {error.what}"
        return "nothing was left behind"
