"""Delivery to a customer's bucket of Amazon S3 or a compatible store (DX-032, VI-D01 to VI-D08)."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from outfeed.connectors.base import (
    BLOCK_SIZE,
    Capabilities,
    Check,
    ConnectionId,
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
from outfeed.connectors.s3_client import open_client, translated
from outfeed.connectors.s3_objects import Prefix, S3Objects, part_size, whole_sha256
from outfeed.connectors.transfer import (
    SourceReader,
    Step,
    conflict,
    deliver_in_threads,
    run_steps,
    temporary_name,
)
from outfeed.errors import TransientError

#: Folder below the prefix for the object that a preflight creates.
PREFLIGHT_FOLDER = ".outfeed-preflight"


def folder_prefix(value: str) -> str:
    """A prefix of keys that is empty or ends in one slash, however it was written (VI-D06).

    Raises:
        ValueError: it has an empty part, `..`, a backslash or a control character.
    """
    parts = value.strip("/").split("/") if value.strip("/") else []
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\\]", value):
        raise ValueError(f"{value!r} is no prefix: it has an empty part, '..', '\\' or a control character")
    return "".join(f"{part}/" for part in parts)


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


class S3Connector(Connector):
    """Delivers to S3: an object appears whole or not at all, and only if its name is free (`If-None-Match`).

    See the base class for the promises. Its SHA-256 and size are sent with it, checked by the service, and
    compared with what the service reports afterwards.
    """

    type = "s3"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum="sha256")
    options_model = S3Options

    def __init__(self, options: S3Options, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options
        self._stop = threading.Event()
        if options.checksum_mode == "when_required":
            self.capabilities = dataclasses.replace(self.capabilities, checksum=None)

    def __enter__(self) -> Self:
        self._objects = self._open_objects()
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._objects.close()

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class; `verified` is `sha256`, or `size` where the store reports no checksum."""
        return deliver_in_threads(files, self._deliver, self._options.parallel, self._stop)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class; the checksum is the hex digest of the whole, where the store reports one."""
        head = self._objects.head(safe_relative_path(path))
        return None if head is None else RemoteFile(path, head["ContentLength"], self._objects.checksum(head))

    def preflight(self) -> Iterator[Check]:
        """Tries to list, to create, to be refused when creating again, and to read; removes its object."""
        objects = self._open_objects()
        path = f"{PREFLIGHT_FOLDER}/{temporary_name(self.attempt)}"
        try:
            yield from run_steps(
                [
                    Step("list", objects.try_list),
                    Step("put", partial(objects.try_put, path)),
                    Step("no overwrite", partial(objects.try_overwrite, path), ("put",)),
                    Step("head", partial(objects.try_head, path), ("put",)),
                    Step("read back", partial(objects.try_get, path), ("put",)),
                    Step("clean up", partial(objects.try_delete, path), ("put",)),
                ]
            )
        finally:
            objects.close()

    def _open_objects(self) -> S3Objects:
        """The bucket's objects, without a request."""
        options = self._options
        place = Prefix(options.s3_bucket, options.s3_key_prefix, options.location())
        with translated("open a client", place.location):
            client = open_client(options, self.credentials)
        return S3Objects(client, place, checksums=options.checksum_mode == "when_supported")

    def _deliver(self, file: Outgoing) -> Delivered:
        reader = SourceReader(file, self._stop)
        try:
            size = part_size(file.size)
            first = reader.block(size)
            if reader.finished:
                created = self._objects.put(file, first, reader)
            else:
                created = self._objects.put_parts(file, first, reader, size)
            if created is None:
                return self._identical(file, reader)
            return self._verified(file, reader, created)
        finally:
            reader.close()

    def _verified(self, file: Outgoing, reader: SourceReader, checksum: str) -> Delivered:
        """Compares what the store reports of a new object with what was sent."""
        head = self._objects.head(file.path) or {}
        reported = head.get("ChecksumSHA256")
        if head.get("ContentLength") != reader.bytes or reported not in (None, checksum):
            raise TransientError(
                f"{file.path} is reported as {head.get('ContentLength')} bytes with SHA-256 {reported}, not "
                f"as the {reader.bytes} bytes with {checksum} that were sent",
                where=self._options.location(),
                remedy="retried under another name",
            )
        verified = "size" if reported is None else "sha256"
        return Delivered(file.path, reader.bytes, reader.sha256, "created", verified)

    def _identical(self, file: Outgoing, reader: SourceReader) -> Delivered:
        """The result for a name that exists with exactly our content; raises a conflict otherwise."""
        reader.drain(BLOCK_SIZE)
        head = self._objects.head(file.path)
        if head is None:
            raise TransientError(
                f"{file.path} appeared and vanished", where=self._options.location(), remedy="retried"
            )
        found, verified = f"{head['ContentLength']} bytes", "sha256"
        if head["ContentLength"] == reader.bytes:
            digest = whole_sha256(head)
            if digest is None:
                digest, verified = self._objects.remote_sha256(file.path), "read-back"
            if digest == reader.sha256:
                return Delivered(file.path, reader.bytes, digest, "identical", verified)
            found = f"sha256 {digest}"
        ours = f"{reader.bytes} bytes, sha256 {reader.sha256}"
        raise conflict(file.path, self._options.location(), found, ours)
