"""Large objects from parts, several in flight; a later try continues what an older one has sent (XX-03)."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from outfeed.connectors.base import Outgoing
from outfeed.connectors.s3_client import PARTS_AT_ONCE, is_taken
from outfeed.connectors.s3_store import HEADERS, S3Store
from outfeed.connectors.transfer import Created, FileFault, Room, SourceReader
from outfeed.connectors.upload_state import end_older, forget, read_state, saved_state, write_state
from outfeed.errors import Action, OutfeedError, SupersededError, TerminalError, TransientError

log = logging.getLogger(__name__)

#: Bytes of one request; a file of at most so many goes in one.
PART_SIZE = 8 << 20

#: S3 takes 10,000 parts.
_MAX_PARTS = 9_900

#: A file of unknown size gets larger parts the longer it grows, so that 5 TB fit.
_PARTS_PER_SIZE = 1_000

_KIND, _VERSION = "s3", 1


def part_size(size: int | None, number: int = 1) -> int:
    """Bytes of a part by its number, so that a file of this size needs no more parts than S3 takes."""
    if size is None:
        return PART_SIZE << ((number - 1) // _PARTS_PER_SIZE)
    return max(PART_SIZE, -(-size // _MAX_PARTS))


@dataclasses.dataclass(frozen=True)
class _Upload:
    """One upload in parts.

    Attributes:
        held: parts that the service has from an older try, by number, as it lists them.
        continued: whether an older try began it.
    """

    id: str
    held: Mapping[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    continued: bool = False


class PartUploads:
    """Guarantees that an object appears whole and only if its name is free, and that no part is sent in vain.

    What fails for a while is left for the next try where the file is tracked, and its parts are then sent
    only if the service does not have them with their digests. What can't be completed any more is aborted.

    Args:
        room: bounds what the parts in flight hold; who sends parts holds one of them.
        condition: the arguments by which the store is told not to create over an existing object.
        seen: whether a name is known to be taken.
    """

    def __init__(
        self, store: S3Store, room: Room, condition: Mapping[str, str], seen: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._client = store.client
        self._room = room
        self._condition = condition
        self._seen = seen
        self._senders = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="outfeed-part")

    def close(self) -> None:
        """Ends the threads."""
        self._senders.shutdown()

    def put(self, file: Outgoing, first: list[bytes], reader: SourceReader, size: int) -> Created | None:
        """Creates an object from parts; its checksum is the composite one. None if the name is taken.

        Args:
            first: the first part, which is taken out of it, so that it is freed when it was sent.
        """
        if self._seen(file.path):
            end_older(file, partial(self.abandon, file.path))
            return None
        upload = self._continued(file, size) or self._begun(file, size)
        try:
            with self._store.faults(f"create {file.path}"):
                return self._send_parts(file, first, reader, size, upload)
        except SupersededError:
            # Another try with the same content has completed it, or somebody took the name.
            if self._seen(file.path):
                return None
            raise
        except BaseException as error:
            if _may_be_continued(file, error):
                raise
            self._end(file, upload)
            if upload.continued and not isinstance(error, FileFault):
                raise TransientError(
                    f"the upload of {file.path} that an older try began can't be completed: {error}",
                    where=self._store.place.location,
                    remedy="retried from its start",
                ) from error
            raise

    def abandon(self, path: str, state: str) -> None:
        """Frees what an upload left; without the right to, the customer's lifecycle rule does.

        Raises:
            TransientError: the service can't be reached.
        """
        values = read_state(state, _KIND, _VERSION)
        if not values:
            return
        with contextlib.suppress(TerminalError), self._store.faults(f"abort an upload of {path}"):
            self._client.abort_multipart_upload(
                Bucket=self._store.place.bucket, Key=values["key"], UploadId=values["upload"]
            )

    # -- beginning

    def _state(self, file: Outgoing, size: int, upload: str) -> dict[str, Any]:
        return {
            "upload": upload,
            "key": self._store.key(file.path),
            "part_size": size,
            "checksums": self._store.checksums,
            "content_type": file.content_type,
        }

    def _continued(self, file: Outgoing, size: int) -> _Upload | None:
        """The upload that an older try left, and what the service has of it; None if it is of no use."""
        text = saved_state(file)
        if file.unfinished is None or text is None:
            return None
        values = read_state(text, _KIND, _VERSION)
        upload = values.get("upload", "")
        if values != self._state(file, size, upload):
            log.info("the upload of %s begins anew: the older one was begun in another way", file.path)
            with contextlib.suppress(OutfeedError):
                self.abandon(file.path, text)
            return None
        try:
            held = self._listed(file.path, upload)
        except TerminalError as error:
            log.info("the upload of %s begins anew: %s", file.path, error.what)
            return None
        self._abort_others(file.path, upload)
        # It is not old any more.
        file.unfinished.save(text)
        log.info("the upload of %s goes on: the store has %d parts of it", file.path, len(held))
        return _Upload(upload, held, continued=True)

    def _begun(self, file: Outgoing, size: int) -> _Upload:
        self._abort_others(file.path)
        algorithm = {"ChecksumAlgorithm": "SHA256"} if self._store.checksums else {}
        with self._store.faults(f"create {file.path}"):
            upload = self._client.create_multipart_upload(
                **self._store.object(file.path), **algorithm, ContentType=file.content_type
            )["UploadId"]
        if file.unfinished is not None:
            try:
                file.unfinished.save(write_state(_KIND, _VERSION, self._state(file, size, upload)))
            except BaseException:
                self._abort(file.path, upload)
                raise
        return _Upload(upload)

    def _listed(self, path: str, upload: str) -> dict[int, Mapping[str, Any]]:
        with self._store.faults(f"list the parts of {path}"):
            pages = self._client.get_paginator("list_parts").paginate(
                **self._store.object(path), UploadId=upload
            )
            return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}

    # -- sending

    def _send_parts(
        self, file: Outgoing, first: list[bytes], reader: SourceReader, size: int, upload: _Upload
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
                grown = size if file.size is not None else part_size(None, number + 1)
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

    def _send_part(self, path: str, upload: _Upload, number: int, block: bytes) -> dict[str, Any]:
        """Sends a part unless the service has it; returns what names it when the upload is completed."""
        digest = self._store.digest(block)
        held = upload.held.get(number)
        if held is not None and _is_same(held, block, digest):
            tag = held["ETag"]
        else:
            tag = self._sent(path, upload.id, number, block, digest)
        kept = {name: value for name, value in digest.items() if name == "ChecksumSHA256"}
        return {"PartNumber": number, "ETag": tag, **kept}

    def _sent(self, path: str, upload: str, number: int, block: bytes, digest: Mapping[str, str]) -> str:
        answer = self._store.direct.put(
            self._store.key(path),
            block,
            {HEADERS[name]: value for name, value in digest.items()},
            {"partNumber": str(number), "uploadId": upload},
        )
        if answer is not None and not answer.taken and "etag" in answer.headers:
            return answer.headers["etag"]
        tag: str = self._client.upload_part(
            **self._store.object(path), **digest, UploadId=upload, PartNumber=number, Body=block
        )["ETag"]
        return tag

    def _complete(self, file: Outgoing, upload: _Upload, parts: list[dict[str, Any]]) -> Created | None:
        from botocore.exceptions import ClientError

        try:
            self._client.complete_multipart_upload(
                **self._store.object(file.path),
                **self._condition,
                UploadId=upload.id,
                MultipartUpload={"Parts": parts},
            )
        except ClientError as error:
            if not is_taken(error):
                raise
            self._end(file, upload)
            return None
        digests = b"".join(base64.b64decode(part.get("ChecksumSHA256", "")) for part in parts)
        return Created(f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(parts)}")

    # -- ending

    def _end(self, file: Outgoing, upload: _Upload) -> None:
        self._abort(file.path, upload.id)
        forget(file)

    def _abort_others(self, path: str, spared: str = "") -> None:
        """Ends uploads of the same object that dead tries left; a try that still lives is stopped by it."""
        with contextlib.suppress(OutfeedError), self._store.faults("list unfinished uploads"):
            key = self._store.key(path)
            listed = self._client.list_multipart_uploads(Bucket=self._store.place.bucket, Prefix=key)
            for upload in listed.get("Uploads", []):
                if upload["Key"] == key and upload["UploadId"] != spared:
                    self._abort(path, upload["UploadId"])

    def _abort(self, path: str, upload: str) -> None:
        """Frees what was sent; without the right to, the customer's lifecycle rule does."""
        with contextlib.suppress(OutfeedError), self._store.faults("abort an upload"):
            self._client.abort_multipart_upload(**self._store.object(path), UploadId=upload)


def _is_same(held: Mapping[str, Any], block: bytes, digest: Mapping[str, str]) -> bool:
    """Whether a part as the service lists it has this content; one of which it tells no digest has not."""
    if held.get("Size") != len(block):
        return False
    stated = held.get("ChecksumSHA256")
    if stated and "ChecksumSHA256" in digest:
        return bool(stated == digest["ChecksumSHA256"])
    return str(held.get("ETag", "")).strip('"') == hashlib.md5(block, usedforsecurity=False).hexdigest()


def _may_be_continued(file: Outgoing, error: BaseException) -> bool:
    """Whether a later try can go on after this error: the same request would not fail again by itself."""
    if file.unfinished is None:
        return False
    if isinstance(error, FileFault):
        return isinstance(error.error, TransientError)
    # What the customer or the operator mends (a permission, a key) is no fault of the upload.
    return not (isinstance(error, TerminalError) and error.action is Action.ENGINEER)
