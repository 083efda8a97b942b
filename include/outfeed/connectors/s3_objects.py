"""The objects below a prefix of a bucket: conditional create in one request or in parts, and looking."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from outfeed.connectors.base import BLOCK_SIZE, Outgoing
from outfeed.connectors.preflight_object import TEST_CONTENT, Listed
from outfeed.connectors.s3_client import PERMISSIONS, is_missing, is_taken
from outfeed.connectors.s3_direct import DirectPuts
from outfeed.connectors.s3_parts import PartUploads, part_size
from outfeed.connectors.s3_store import HEADERS, Prefix, S3Store
from outfeed.connectors.transfer import Created, Room, SourceReader
from outfeed.errors import Action, TerminalError


def whole_sha256(head: dict[str, Any]) -> str | None:
    """The hex SHA-256 of the whole object, where the store reports one; that of parts is none."""
    checksum = head.get("ChecksumSHA256")
    if not checksum or "-" in checksum or head.get("ChecksumType") == "COMPOSITE":
        return None
    return base64.b64decode(checksum).hex()


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
        self._store = S3Store(client, direct, place, checksums, self.permissions)
        self._parts = PartUploads(self._store, room, self.condition, self._seen)
        self._client = client
        self._location = place.location

    def close(self) -> None:
        """Closes the connections."""
        self._parts.close()
        self._store.direct.close()
        self._client.close()

    def faults(self, doing: str) -> AbstractContextManager[None]:
        """Turns boto's errors into ours; `doing` completes 'could not …'."""
        return self._store.faults(doing)

    # -- creating

    def part_size(self, size: int | None) -> int:
        """Bytes per part of a file of this size."""
        return part_size(size)

    def put(self, file: Outgoing, content: bytes, reader: SourceReader) -> Created | None:
        """Creates an object in one request; None if the name is taken."""
        digest = self._store.digest(content, reader.sha256)
        stated = digest | dict(self.condition)
        headers = {HEADERS[name]: value for name, value in stated.items()}
        with self.faults(f"create {file.path}"):
            answer = self._store.direct.put(
                self._store.key(file.path), content, {**headers, "Content-Type": file.content_type}
            )
            taken = self._put(file, content, stated) if answer is None else answer.taken
        return None if taken else self._created(reader, digest, answer.headers if answer else {})

    def _put(self, file: Outgoing, content: bytes, stated: Mapping[str, str]) -> bool:
        """Has boto3 create an object; tells whether the name is taken."""
        from botocore.exceptions import ClientError

        try:
            self._client.put_object(
                **self._store.object(file.path), **stated, Body=content, ContentType=file.content_type
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
        return Created(checksum, "sha256" if headers.get(HEADERS["ChecksumSHA256"]) == checksum else None)

    def put_parts(self, file: Outgoing, first: bytes, reader: SourceReader, size: int) -> Created | None:
        """Creates an object from parts; its checksum is the composite one. None if the name is taken."""
        held = [first]
        del first
        return self._parts.put(file, held, reader, size)

    def abandon(self, path: str, state: str) -> None:
        """Frees what an upload in parts left that no try will continue."""
        self._parts.abandon(path, state)

    def _seen(self, path: str) -> bool:
        """Whether the name is known to be taken, before much is sent for nothing."""
        try:
            return self.head(path) is not None
        except TerminalError:
            # Without the right to list, the service answers 403 for what does not exist.
            return False

    # -- looking

    def head(self, path: str) -> dict[str, Any] | None:
        """What the store says of an object, or None."""
        from botocore.exceptions import ClientError

        mode = {"ChecksumMode": "ENABLED"} if self._store.checksums else {}
        with self.faults(f"look at {path}"):
            try:
                found: dict[str, Any] = self._client.head_object(**self._store.object(path), **mode)
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
            body = self._client.get_object(**self._store.object(path))["Body"]
            for block in body.iter_chunks(BLOCK_SIZE):
                digest.update(block)
        return digest.hexdigest()

    # -- preflight

    def try_list(self) -> str:
        """Lists the prefix."""
        with self.faults("list the prefix"):
            found = self._client.list_objects_v2(
                Bucket=self._store.place.bucket, Prefix=self._store.place.prefix, MaxKeys=1
            )
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
            **self._store.object(path),
            **self._store.digest(TEST_CONTENT),
            **self.condition,
            Body=TEST_CONTENT,
            ContentType="text/plain",
        )

    def listed(self, path: str) -> list[Listed]:
        """The first objects whose paths begin so, as many as one request tells."""
        place = self._store.place
        with self.faults("list the test objects"):
            found = self._client.list_objects_v2(Bucket=place.bucket, Prefix=self._store.key(path))
        return [
            Listed(each["Key"].removeprefix(place.prefix), each["Size"], each["LastModified"])
            for each in found.get("Contents", [])
        ]

    def delete(self, path: str) -> None:
        """Removes a test object."""
        with self.faults("remove the test object"):
            self._client.delete_object(**self._store.object(path))
