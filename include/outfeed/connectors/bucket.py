"""What the connectors to a bucket share, whatever protocol its store speaks and what its rules are."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from outfeed.connectors.base import (
    BLOCK_SIZE,
    Check,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    ExceptionType,
    Outgoing,
    RemoteFile,
    Undelivered,
    safe_relative_path,
)
from outfeed.connectors.preflight_object import TEST_CONTENT, Listed, clean_up, fresh_path
from outfeed.connectors.s3_objects import whole_sha256
from outfeed.connectors.transfer import (
    MEMORY,
    Created,
    Room,
    SourceReader,
    Step,
    altered,
    conflict,
    deliver_in_threads,
    run_steps,
)
from outfeed.errors import TransientError


def folder_prefix(value: str) -> str:
    """A prefix of keys that is empty or ends in one slash, however it was written (VI-D06).

    Raises:
        ValueError: it has an empty part, `..`, a backslash or a control character.
    """
    parts = value.strip("/").split("/") if value.strip("/") else []
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\\]", value):
        raise ValueError(f"{value!r} is no prefix: it has an empty part, '..', '\\' or a control character")
    return "".join(f"{part}/" for part in parts)


class Objects(Protocol):
    """The objects below a prefix of a bucket; no request creates one over another.

    What is said of an object is a dictionary with at least `ContentLength`.
    """

    def close(self) -> None:
        """Closes the connections."""

    def part_size(self, size: int | None) -> int:
        """Bytes of the first part of a file of this size; what is no larger goes in one request."""

    def put(self, file: Outgoing, content: bytes, reader: SourceReader) -> Created | None:
        """Creates an object in one request; None if the name is taken."""

    def put_parts(self, file: Outgoing, first: bytes, reader: SourceReader, size: int) -> Created | None:
        """Creates an object from its first part and the rest of its source; returns as `put` does."""

    def abandon(self, path: str, state: str) -> None:
        """Removes what an upload left that no try will continue, as far as we may."""

    def head(self, path: str) -> dict[str, Any] | None:
        """What the store says of an object, or None."""

    def checksum(self, head: dict[str, Any]) -> str | None:
        """The digest of the whole object that the store reports, if it does."""

    def remote_sha256(self, path: str) -> str:
        """The hex SHA-256 of an object, by reading it."""

    def try_list(self) -> str:
        """Lists the prefix."""

    def try_put(self, path: str) -> str:
        """Creates a test object."""

    def try_overwrite(self, path: str) -> str:
        """Tries to create the test object again; the store must refuse."""

    def listed(self, path: str) -> list[Listed]:
        """The first objects whose paths begin so, as many as one request tells."""

    def delete(self, path: str) -> None:
        """Removes a test object."""


class BucketConnector(Connector):
    """Delivers to a bucket: an object appears whole or not at all, and only if its name is free.

    See the base class for the promises.
    """

    def __init__(self, options: DestinationOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._location = options.location()
        self._parallel = options.parallel
        self._stop = threading.Event()
        self._room = Room(MEMORY)

    def __enter__(self) -> Self:
        self._objects = self._open_objects()
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._objects.close()

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class."""
        return deliver_in_threads(files, self._deliver, self._parallel, self._stop)

    def abandon(self, path: str, state: str) -> None:
        """See the base class."""
        self._objects.abandon(path, state)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class; the checksum is the hex digest of the whole, where the store reports one."""
        head = self._objects.head(safe_relative_path(path))
        return None if head is None else RemoteFile(path, head["ContentLength"], self._objects.checksum(head))

    def preflight(self) -> Iterator[Check]:
        """Tries to list, to create, to be refused when creating again, and to read; removes its object."""
        objects = self._open_objects()
        path = fresh_path(self.attempt)
        try:
            yield from run_steps(
                [
                    Step("list", objects.try_list),
                    Step("write", partial(objects.try_put, path)),
                    Step("size", partial(_try_head, objects, path, self._location), ("write",)),
                    Step("no overwrite", partial(objects.try_overwrite, path), ("write",)),
                    Step("read back", partial(_try_get, objects, path, self._location), ("write",)),
                    Step("clean up", partial(clean_up, path, objects.listed, objects.delete), ("write",)),
                ]
            )
        finally:
            objects.close()

    @abstractmethod
    def _open_objects(self) -> Objects:
        """The bucket's objects, without a request."""

    @abstractmethod
    def _verified(self, file: Outgoing, reader: SourceReader, checksum: str) -> Delivered:
        """Compares what the store reports of a new object with what was sent, of which `checksum` is one."""

    def _deliver(self, file: Outgoing) -> Delivered:
        size = self._objects.part_size(file.size)
        with (
            self._room.held(size if file.size is None else min(size, file.size)),
            contextlib.closing(SourceReader(file, self._stop)) as reader,
        ):
            return self._create(file, reader, size)

    def _create(self, file: Outgoing, reader: SourceReader, size: int) -> Delivered:
        # No variable here holds the block: it is freed when it was sent, not when the file was.
        first = [reader.block(size)]
        if reader.finished:
            created = self._objects.put(file, first.pop(), reader)
        else:
            created = self._objects.put_parts(file, first.pop(), reader, size)
        if created is None:
            return self._identical(file, reader)
        if created.confirmed is not None:
            return Delivered(file.path, reader.bytes, reader.sha256, "created", created.confirmed)
        return self._verified(file, reader, created.checksum)

    def _identical(self, file: Outgoing, reader: SourceReader) -> Delivered:
        """The result for a name that exists with exactly our content; raises a conflict otherwise."""
        reader.drain(BLOCK_SIZE)
        head = self._objects.head(file.path)
        if head is None:
            raise TransientError(f"{file.path} appeared and vanished", where=self._location, remedy="retried")
        found, verified = f"{head['ContentLength']} bytes", "sha256"
        if head["ContentLength"] == reader.bytes:
            digest = whole_sha256(head)
            if digest is None:
                digest, verified = self._objects.remote_sha256(file.path), "read-back"
            if digest == reader.sha256:
                return Delivered(file.path, reader.bytes, digest, "identical", verified)
            found = f"sha256 {digest}"
        ours = f"{reader.bytes} bytes, sha256 {reader.sha256}"
        raise conflict(file.path, self._location, found, ours)


def _try_head(objects: Objects, path: str, location: str) -> str:
    """Looks at the test object."""
    head = objects.head(path)
    if head is None or head["ContentLength"] != len(TEST_CONTENT):
        raise altered(f"{path} is not reported as it was created", location)
    return f"the store reports size, {'with' if objects.checksum(head) else 'without'} checksum"


def _try_get(objects: Objects, path: str, location: str) -> str:
    """Reads the test object."""
    if objects.remote_sha256(path) != hashlib.sha256(TEST_CONTENT).hexdigest():
        raise altered(f"{path} reads back differently", location)
    return "read the same bytes back"
