"""Delivery to a customer's Google Cloud Storage bucket (DX-050 to DX-063)."""

from __future__ import annotations

import base64
import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, field_validator

from outfeed.connectors.base import (
    Capabilities,
    Check,
    ConnectionId,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    ExceptionType,
    OurSide,
    Outgoing,
    RemoteFile,
    Undelivered,
    safe_relative_path,
)
from outfeed.connectors.gcs_client import TIMEOUT, open_client, translated
from outfeed.connectors.gcs_direct import DirectCreates
from outfeed.connectors.gcs_resume import ResumableCreates
from outfeed.connectors.google_names import bucket_problem
from outfeed.connectors.preflight_object import TEST_CONTENT, Listed, clean_up, fresh_path
from outfeed.connectors.transfer import (
    MEMORY,
    Room,
    SourceReader,
    Step,
    altered,
    conflict,
    deliver_in_threads,
    run_steps,
)
from outfeed.errors import Action, TerminalError, TransientError

#: All that we ever need on a customer's bucket (DX-058 to DX-062).
PERMISSIONS = ("storage.objects.create", "storage.objects.list", "storage.objects.get", "storage.buckets.get")

#: Bytes of one request: smaller files go in one, larger ones resumably in several.
CHUNK_SIZE = 8 << 20


class GcsOptions(DestinationOptions):
    """A bucket and a prefix of the customer, written with four permissions only (DX-062)."""

    type: Literal["gcs"]
    storage_uri: str = Field(
        validation_alias=AliasChoices("storage_uri", "external_storage_uri"),
        description="`gs://bucket/prefix/`; all files land below it (DX-051, DX-052).",
    )
    connection: ConnectionId | None = Field(
        default=None,
        description="Airflow connection of the service account; without it the worker's own Google identity.",
    )

    @field_validator("storage_uri")
    @classmethod
    def _gcs_path(cls, value: str) -> str:
        if not value.startswith("gs://"):
            raise ValueError(f"{value!r} is no GCS path: write gs://bucket/prefix/")
        bucket, _, prefix = value.removeprefix("gs://").partition("/")
        problem = bucket_problem(bucket)
        if problem:
            raise ValueError(f"{value!r} names no valid bucket: {problem}")
        parts = prefix.removesuffix("/").split("/") if prefix else []
        if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\\?#*\[\]]", prefix):
            raise ValueError(f"{value!r} has a prefix with an empty part, '..' or a character of a pattern")
        return "/".join(["gs:/", bucket, *parts, ""])

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.storage_uri.removeprefix("gs://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """What each object name begins with: empty, or ending in a slash."""
        return self.storage_uri.removeprefix("gs://").partition("/")[2]

    def location(self) -> str:
        """`gs://bucket/prefix/`, the same with and without the trailing slash in the YAML."""
        return self.storage_uri

    def pool_name(self) -> str:
        """One pool per bucket: the service itself is too large to be bounded by us."""
        return f"destination_gcs_{self.bucket}"

    def name_problem(self, customer: str) -> str | None:
        """A service account's id has 6 to 30 characters, and Google allows no underscore (D33, DX-057)."""
        account = _service_account_id(customer)
        if re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", account):
            return None
        return (
            f"{account!r} can't be a Google service account: "
            "6 to 30 lower-case letters, digits and '-', not ending in '-'"
        )

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """Our service account and the four permissions that it needs (DX-057 to DX-061)."""
        project = ours.google_project or "<project>"
        account = f"{_service_account_id(customer)}@{project}.iam.gserviceaccount.com"
        return {
            "Our service account": [account],
            f"Permissions that it needs on the bucket {self.bucket}": list(PERMISSIONS),
        }


def _service_account_id(customer: str) -> str:
    return f"customer-{customer}"


class GcsConnector(Connector):
    """Delivers to a bucket with no more than the four `PERMISSIONS` (DX-062).

    See the base class for the promises. An object appears whole or not at all, and only if its name is free
    (`ifGenerationMatch=0`, D27); its CRC32C as the service computed it equals ours.
    """

    type = "gcs"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum="crc32c")
    options_model = GcsOptions

    def __init__(self, options: GcsOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        self._options = options
        self._stop = threading.Event()
        self._room = Room(MEMORY)

    def __enter__(self) -> Self:
        self._bucket = self._open_bucket()
        self._direct = DirectCreates(self._bucket, self._options.parallel, TIMEOUT)
        self._resumable = self._open_resumable()
        with self._faults("get the bucket", "storage.buckets.get"):
            self._bucket.reload(timeout=TIMEOUT)
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._direct.close()
        self._bucket.client.close()

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class; `verified` is `crc32c`."""
        return deliver_in_threads(files, self._deliver, self._options.parallel, self._stop)

    def abandon(self, path: str, state: str) -> None:
        """See the base class."""
        if self._resumable is not None:
            with self._faults(f"end an upload of {path}", "storage.objects.create"):
                self._resumable.abandon(state)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class; the checksum is the CRC32C in base64, as the service reports it."""
        with self._faults(f"look at {path}", "storage.objects.get"):
            blob = self._bucket.get_blob(self._name(safe_relative_path(path)), timeout=TIMEOUT)
        return None if blob is None else RemoteFile(path, blob.size, blob.crc32c)

    def preflight(self) -> Iterator[Check]:
        """Tries each of the four permissions; says so when its test object has to stay (DX-058 to 061)."""
        self._bucket = self._open_bucket()
        path = fresh_path(self.attempt)
        name = self._name(path)
        create, listing, read, get = PERMISSIONS
        try:
            yield from run_steps(
                [
                    Step("bucket", partial(self._try, get, self._check_bucket)),
                    Step("list", partial(self._try, listing, self._check_list)),
                    Step("write", partial(self._try, create, partial(self._check_create, name))),
                    Step(
                        "no overwrite",
                        partial(self._try, create, partial(self._check_taken, name)),
                        ("write",),
                    ),
                    Step("read back", partial(self._try, read, partial(self._check_get, name)), ("write",)),
                    Step("clean up", partial(clean_up, path, self._listed, self._delete), ("write",)),
                ]
            )
        finally:
            self._bucket.client.close()

    def _open_bucket(self) -> Any:
        """The bucket, without a request."""
        return open_client(self._options, self.credentials).bucket(self._options.bucket)

    def _open_resumable(self) -> ResumableCreates | None:
        """What continues uploads; None without a key to seal their addresses with."""
        key = self.credentials.sealing_key
        if key is None:
            return None
        return ResumableCreates(self._bucket, key, CHUNK_SIZE, TIMEOUT, self._options.location())

    def _name(self, path: str) -> str:
        return f"{self._options.prefix}{path}"

    def _faults(self, doing: str, permission: str) -> AbstractContextManager[None]:
        return translated(doing, permission, self._options.location())

    # -- one file

    def _deliver(self, file: Outgoing) -> Delivered:
        with (
            self._room.held(CHUNK_SIZE if file.size is None else min(CHUNK_SIZE, file.size)),
            contextlib.closing(SourceReader(file, self._stop)) as reader,
        ):
            stream = _Upload(reader)
            if not stream.is_small and (existing := self._existing(file)) is not None:
                if self._resumable is not None:
                    self._resumable.give_up(file)
                return self._identical(file, stream, existing)
            return self._create(file, stream)

    def _create(self, file: Outgoing, stream: _Upload) -> Delivered:
        from google.api_core.exceptions import Forbidden, PreconditionFailed

        with self._faults(f"create {file.path}", "storage.objects.create"):
            try:
                size, crc32c = self._send(file, stream)
            except (PreconditionFailed, Forbidden):
                # Who may not delete may get 403 for a taken name, too.
                existing = self._existing(file)
                if existing is None:
                    raise
                return self._identical(file, stream, existing)
        if (size, crc32c) != (stream.reader.bytes, stream.crc32c):
            raise TransientError(
                f"{file.path} arrived as {size} bytes with CRC32C {crc32c}, not as "
                f"{stream.reader.bytes} bytes with {stream.crc32c}",
                where=self._options.location(),
                remedy="retried under another name",
            )
        return Delivered(file.path, stream.reader.bytes, stream.reader.sha256, "created", "crc32c")

    def _send(self, file: Outgoing, stream: _Upload) -> tuple[int, str]:
        """Creates an object; gives its size and CRC32C as the service reports them."""
        name = self._name(file.path)
        if stream.is_small:
            made = self._direct.create(name, stream.first, file.content_type, stream.crc32c)
            if made is not None:
                return made
        if file.unfinished is not None and self._resumable is not None:
            return self._resumable.create(file, name, stream)
        blob = self._bucket.blob(name, chunk_size=CHUNK_SIZE)
        blob.upload_from_file(
            stream,
            size=stream.reader.bytes if stream.is_small else file.size,
            content_type=file.content_type,
            if_generation_match=0,
            checksum="crc32c",
            timeout=TIMEOUT,
        )
        return blob.size, blob.crc32c

    def _existing(self, file: Outgoing) -> Any | None:
        with self._faults(f"look at {file.path}", "storage.objects.get"):
            return self._bucket.get_blob(self._name(file.path), timeout=TIMEOUT)

    def _identical(self, file: Outgoing, stream: _Upload, existing: Any) -> Delivered:
        """The result for a name that exists with exactly our content; raises a conflict otherwise."""
        stream.drain()
        ours = (stream.reader.bytes, stream.crc32c)
        if (existing.size, existing.crc32c) != ours:
            found = f"{existing.size} bytes, CRC32C {existing.crc32c}"
            raise conflict(file.path, self._options.location(), found, f"{ours[0]} bytes, {ours[1]}")
        return Delivered(file.path, stream.reader.bytes, stream.reader.sha256, "identical", "crc32c")

    # -- preflight

    def _try(self, permission: str, run: Callable[[], str]) -> str:
        with self._faults(f"use {permission}", permission):
            return f"{run()} ({permission})"

    def _check_bucket(self) -> str:
        self._bucket.reload(timeout=TIMEOUT)
        return f"the bucket {self._options.bucket} exists"

    def _check_list(self) -> str:
        found = self._bucket.client.list_blobs(
            self._bucket, prefix=self._options.prefix, max_results=1, timeout=TIMEOUT
        )
        return "the prefix holds objects" if any(True for _ in found) else "the prefix is empty"

    def _check_create(self, name: str) -> str:
        self._bucket.blob(name).upload_from_string(
            TEST_CONTENT, content_type="text/plain", if_generation_match=0, timeout=TIMEOUT
        )
        return f"created {name}"

    def _check_taken(self, name: str) -> str:
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._check_create(name)
        except PreconditionFailed:
            return "the bucket refuses to create over an existing object"
        raise TerminalError(
            "the bucket ignored ifGenerationMatch and overwrote an object: files would not be safe there",
            where=self._options.location(),
            action=Action.ENGINEER,
            remedy="deliver to another bucket or by another connector",
        )

    def _check_get(self, name: str) -> str:
        content = self._bucket.blob(name).download_as_bytes(timeout=TIMEOUT)
        if content != TEST_CONTENT:
            raise altered(f"{name} reads back differently", self._options.location())
        return "read the same bytes back"

    def _listed(self, path: str) -> list[Listed]:
        with self._faults("list the test objects", "storage.objects.list"):
            pages = self._bucket.client.list_blobs(
                self._bucket, prefix=self._name(path), timeout=TIMEOUT
            ).pages
            return [
                Listed(each.name.removeprefix(self._options.prefix), each.size, each.time_created)
                for each in next(pages, ())
            ]

    def _delete(self, path: str) -> None:
        with self._faults("remove the test object", "storage.objects.delete"):
            self._bucket.blob(self._name(path)).delete(timeout=TIMEOUT)


class _Upload:
    """A source as the stream that Google's client wants; its first chunk is read at once.

    Attributes:
        first: the first chunk, until it is read.
        is_small: the whole content is in the first chunk, so one request sends it.
    """

    def __init__(self, reader: SourceReader) -> None:
        import google_crc32c

        self.reader = reader
        library: Any = google_crc32c  # it has no annotations
        self._crc32c = library.Checksum()
        self.first = self._block(CHUNK_SIZE)
        self._position = 0
        self.is_small = reader.finished

    @property
    def crc32c(self) -> str:
        """Of all that has been read, in base64 as the service reports it."""
        return base64.b64encode(self._crc32c.digest()).decode()

    def tell(self) -> int:
        """How much was handed out."""
        return self._position

    def read(self, size: int) -> bytes:
        """The next bytes; the client asks for whole chunks, and a shorter one only at the end."""
        block, self.first = self.first or self._block(size), b""
        self._position += len(block)
        return block

    def drain(self) -> None:
        """Reads to the end, for the digests alone."""
        while not self.reader.finished:
            self._block(CHUNK_SIZE)

    def _block(self, size: int) -> bytes:
        block = self.reader.block(size)
        self._crc32c.update(block)
        return block
