"""The blobs below a prefix of a container: conditional create in one request or in blocks, and looking."""

from __future__ import annotations

import base64
import hashlib
from contextlib import AbstractContextManager
from typing import Any

from outfeed.connectors.azure_client import code_of, is_missing, is_taken, translated
from outfeed.connectors.base import Outgoing
from outfeed.connectors.preflight_object import TEST_CONTENT, Listed
from outfeed.connectors.transfer import Created, SourceReader
from outfeed.errors import Action, TerminalError, TransientError

#: Bytes held per file in flight, and so of one request; a file of at most so many goes in one.
BLOCK_SIZE = 8 << 20

#: Azure takes 50,000 blocks of at most 4,000 MiB.
_MAX_BLOCKS = 49_000
_MAX_BLOCK_SIZE = 4_000 << 20

#: A file of unknown size gets larger blocks the longer it grows, so that 40 TB fit.
_BLOCKS_PER_SIZE = 5_000


def block_size(size: int | None, number: int = 0) -> int:
    """Bytes of the block after `number` others; no file of this size needs more blocks than Azure takes."""
    if size is None:
        return min(BLOCK_SIZE << (number // _BLOCKS_PER_SIZE), _MAX_BLOCK_SIZE)
    return max(BLOCK_SIZE, -(-size // _MAX_BLOCKS))


class AzureObjects:
    """Guarantees that no request creates a blob over another one.

    Args:
        container: the SDK's client of the container.
        prefix: empty, or ending in a slash.
        location: the place in messages.
    """

    def __init__(self, container: Any, prefix: str, location: str) -> None:
        self._container = container
        self._prefix = prefix
        self._location = location

    def close(self) -> None:
        """Closes the connections."""
        self._container.close()

    def faults(self, doing: str, right: str) -> AbstractContextManager[None]:
        """Turns the SDK's errors into ours; `doing` completes 'could not …'."""
        return translated(doing, right, self._location)

    def _blob(self, path: str) -> Any:
        return self._container.get_blob_client(f"{self._prefix}{path}")

    # -- creating

    def part_size(self, size: int | None) -> int:
        """Bytes of the first block of a file of this size."""
        return block_size(size)

    def put(self, file: Outgoing, content: bytes, reader: SourceReader) -> Created | None:
        """Creates a blob in one request; its checksum is the MD5. None if the name is taken."""
        md5 = self._put(file.path, content, file.content_type)
        return None if md5 is None else Created(md5)

    def _put(self, path: str, content: bytes, content_type: str) -> str | None:
        from azure.core.exceptions import HttpResponseError

        digest = _md5(content)
        with self.faults(f"create {path}", "write"):
            try:
                self._blob(path).upload_blob(
                    content,
                    length=len(content),
                    overwrite=False,
                    # The service refuses what does not arrive as it was sent.
                    validate_content="md5",
                    content_settings=_settings(content_type, digest.digest()),
                )
            except HttpResponseError as error:
                # Who may create but not write is refused a taken name by its missing right.
                if is_taken(error) or (error.status_code == 403 and self._seen(path)):
                    return None
                raise
        hexdigest: str = digest.hexdigest()
        return hexdigest

    def put_parts(self, file: Outgoing, first: bytes, reader: SourceReader, size: int) -> Created | None:
        """Creates a blob from blocks, visible with the last request; returns as `put` does.

        Blocks of a try that ends before that are seen by nobody. Azure removes them with the next blob of
        that name, or after a week; until then a later try needs not send them again.
        """
        if self._seen(file.path):
            return None
        held = self._held(file.path) if file.unfinished is not None else {}
        ids: list[str] = []
        whole = _md5()
        block = first
        while block:
            ids.append(_block_id(reader, len(ids)))
            if held.get(ids[-1]) != len(block):
                self._stage(file.path, ids[-1], block)
            whole.update(block)
            block = reader.block(size if file.size is not None else block_size(None, len(ids)))
        done = self._commit(file.path, ids, file.content_type, whole.digest())
        return Created(whole.hexdigest()) if done else None

    def _held(self, path: str) -> dict[str, int]:
        """Bytes of each block that older tries have sent, by id."""
        try:
            with self.faults(f"list the blocks of {path}", "read"):
                _, blocks = self._blob(path).get_block_list("uncommitted")
        except TerminalError:
            # There are none, or we may not look: then all of them are sent.
            return {}
        return {block.id: block.size for block in blocks}

    def _stage(self, path: str, block_id: str, block: bytes) -> None:
        with self.faults(f"create {path}", "write"):
            self._blob(path).stage_block(block_id, block, length=len(block), validate_content="md5")

    def _commit(self, path: str, ids: list[str], content_type: str, digest: bytes) -> bool:
        """Makes a blob of its blocks; false if the name is taken."""
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock

        with self.faults(f"create {path}", "write"):
            try:
                self._blob(path).commit_block_list(
                    [BlobBlock(block_id) for block_id in ids],
                    content_settings=_settings(content_type, digest),
                    match_condition=MatchConditions.IfMissing,
                )
            except HttpResponseError as error:
                # Who completes a blob first removes the blocks of the others.
                if is_taken(error) or (code_of(error) == "InvalidBlockList" and self._seen(path)):
                    return False
                raise
        return True

    def _seen(self, path: str) -> bool:
        """Whether the name is known to be taken, before much is sent for nothing."""
        try:
            return self.head(path) is not None
        except TerminalError:
            # Without the right to read, creating says what is wrong.
            return False

    def abandon(self, path: str, state: str) -> None:
        """Nothing: Azure removes blocks that nobody made a blob of after a week."""

    # -- looking

    def head(self, path: str) -> dict[str, Any] | None:
        """What the store says of a blob: `ContentLength`, and `ContentMD5` in hex if it has one; or None."""
        from azure.core.exceptions import HttpResponseError

        with self.faults(f"look at {path}", "read"):
            try:
                found = self._blob(path).get_blob_properties()
            except HttpResponseError as error:
                if is_missing(error):
                    return None
                raise
        stored = found.content_settings.content_md5
        return {"ContentLength": found.size, "ContentMD5": bytes(stored).hex() if stored else None}

    def checksum(self, head: dict[str, Any]) -> str | None:
        """The hex MD5 that the store has of a blob."""
        value: str | None = head.get("ContentMD5")
        return value

    def remote_sha256(self, path: str) -> str:
        """The hex SHA-256 of a blob, by reading it."""
        digest = hashlib.sha256()
        with self.faults(f"read {path}", "read"):
            for block in self._blob(path).download_blob().chunks():
                digest.update(block)
        hexdigest: str = digest.hexdigest()
        return hexdigest

    # -- preflight

    def try_list(self) -> str:
        """Lists the prefix."""
        with self.faults("list the prefix", "list"):
            pages = self._container.list_blobs(name_starts_with=self._prefix, results_per_page=1).by_page()
            found = any(True for _ in next(pages, ()))
        return "the prefix holds blobs" if found else "the prefix is empty"

    def try_put(self, path: str) -> str:
        """Creates a test blob as large files are created: from blocks."""
        block_id = base64.b64encode(b"0").decode()
        self._stage(path, block_id, TEST_CONTENT)
        if not self._commit(path, [block_id], "text/plain", _md5(TEST_CONTENT).digest()):
            # Nobody else has this name: an answer was lost, and the client asked again.
            raise TransientError(f"{path} exists already", where=self._location, remedy="retried")
        return f"created {path}"

    def try_overwrite(self, path: str) -> str:
        """Tries to create the test blob again, in one request and from blocks; the store must refuse."""
        refused = self._put(path, TEST_CONTENT, "text/plain") is None
        if refused and not self._commit(path, [], "text/plain", _md5().digest()):
            return "the store refuses to create over an existing blob"
        raise TerminalError(
            "the store ignored If-None-Match and overwrote a blob: files would not be safe there",
            where=self._location,
            action=Action.ENGINEER,
            remedy="use a store that honours conditional writes, or another connector",
        )

    def listed(self, path: str) -> list[Listed]:
        """The first blobs whose paths begin so, as many as one request tells."""
        with self.faults("list the test blobs", "list"):
            pages = self._container.list_blobs(name_starts_with=f"{self._prefix}{path}").by_page()
            return [
                Listed(each.name.removeprefix(self._prefix), each.size, each.last_modified)
                for each in next(pages, ())
            ]

    def delete(self, path: str) -> None:
        """Removes a test blob."""
        with self.faults("remove the test blob", "delete"):
            self._blob(path).delete_blob()


def _block_id(reader: SourceReader, number: int) -> str:
    """Tells place and content up to the block's end, so that the same file has the same ids in each try.

    All are of one length, as Azure demands.
    """
    # The reader has this digest anyway; one of the block alone would cost another pass over each byte.
    return base64.b64encode(f"{reader.sha256[:16]}-{number:06d}".encode()).decode()


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)


def _settings(content_type: str, digest: bytes) -> Any:
    from azure.storage.blob import ContentSettings

    return ContentSettings(content_type=content_type, content_md5=bytearray(digest))
