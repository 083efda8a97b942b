"""The kinds of destination on real servers, and a look at each that does not use our connectors."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from outfeed.connectors import (
    AzureBlobOptions,
    Connector,
    FtpOptions,
    GcsOptions,
    GoogleOptions,
    LocalOptions,
    S3Options,
    SftpOptions,
    open_connector,
)
from outfeed.connectors.base import Credentials, Delivered, DestinationOptions, Outgoing, Undelivered
from tests.servers.azurite import AzuriteServer
from tests.servers.ftp import FtpServer
from tests.servers.gcs import GcsServer
from tests.servers.google_xml import GoogleXml
from tests.servers.s3 import S3Server
from tests.servers.sshd import SshServer

_numbers = itertools.count()


def unique(word: str) -> str:
    """A name that no other test of this session uses."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


class Place(ABC):
    """One empty destination."""

    options: DestinationOptions
    credentials: Credentials
    #: How a created file is verified there.
    verified: str

    def connector(self, attempt: str = "work.1", **changes: Any) -> Connector:
        """A connector that has not been entered yet."""
        options = type(self.options).model_validate(self.options.model_dump() | changes)
        return open_connector(options, self.credentials, attempt=attempt)

    def deliver(self, *files: Outgoing, attempt: str = "work.1", **changes: Any) -> dict[str, Any]:
        """Delivers in one session; the results by path."""
        with self.connector(attempt, **changes) as connector:
            return {result.path: result for result in connector.deliver(files)}

    @abstractmethod
    def names(self) -> set[str]:
        """All that lies below the base, temporary names included."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Content of a file below the base."""


class FolderPlace(Place):
    """A place whose files this machine sees."""

    folder: Path

    def names(self) -> set[str]:
        return {
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir()
        } | {
            f"{path.relative_to(self.folder)}/"
            for path in self.folder.rglob("*")
            if path.is_dir() and not any(path.iterdir())
        }

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()


class LocalPlace(FolderPlace):
    verified = "size"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = LocalOptions(type="local", name="local", path=str(folder))
        self.credentials = Credentials()


class SftpPlace(FolderPlace):
    verified = "size"

    def __init__(self, server: SshServer) -> None:
        self.server = server
        base, self.folder = server.make_base(unique("base"))
        self.options = SftpOptions(
            type="sftp",
            name="sftp",
            sftp_host=server.host,
            sftp_port=server.port,
            sftp_remote_path=base,
            username=server.username,
            host_public_key=(server.host_public_key,),
            connection="customer_sftp",
        )
        self.credentials = Credentials(extra={"private_key": server.private_key})


class FtpPlace(FolderPlace):
    verified = "size"

    def __init__(self, server: FtpServer, protocol: Literal["ftp", "ftps"] = "ftp") -> None:
        self.server = server
        base, self.folder = server.make_base(unique("base"))
        self.options = FtpOptions(
            type="ftp",
            name=protocol,
            ftp_host=server.host,
            ftp_port=server.port,
            ftp_username=server.username,
            ftp_remote_directory=base,
            ftp_protocol=protocol,
            ftps_ca=server.ca if protocol == "ftps" else None,
            connection="customer_ftp",
        )
        self.credentials = Credentials(login=server.username, password=server.password)


class GcsPlace(Place):
    """Looked at with plain HTTP."""

    verified = "crc32c"

    def __init__(self, server: GcsServer) -> None:
        self.server = server
        self.bucket = unique("bucket")
        server.make_bucket(self.bucket)
        self.options = GcsOptions(type="gcs", name="gcs", storage_uri=f"gs://{self.bucket}/testing/")
        self.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": server.endpoint})

    def names(self) -> set[str]:
        with urllib.request.urlopen(
            f"{self.server.endpoint}/storage/v1/b/{self.bucket}/o?maxResults=5000"
        ) as answer:
            names = {item["name"] for item in json.load(answer).get("items", [])}
        # DX-052
        assert all(name.startswith("testing/") for name in names)
        return {name.removeprefix("testing/") for name in names}

    def read(self, path: str) -> bytes:
        name = urllib.parse.quote(f"testing/{path}", safe="")
        with urllib.request.urlopen(
            f"{self.server.endpoint}/download/storage/v1/b/{self.bucket}/o/{name}?alt=media"
        ) as answer:
            content: bytes = answer.read()
        return content


class BucketPlace(Place):
    """Looked at with the owner's client of S3; unfinished uploads count as names."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.make_bucket("customer")
        self.prefix = f"testing/{unique('base')}/"

    def names(self) -> set[str]:
        client = self.server.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        names = {item["Key"] for page in pages for item in page.get("Contents", [])}
        assert all(name.startswith("testing/") for name in names)
        uploads = client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix).get("Uploads", [])
        names |= {f"{upload['Key']}?unfinished" for upload in uploads}
        return {name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)}

    def read(self, path: str) -> bytes:
        content: bytes = (
            self.server.client().get_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")["Body"].read()
        )
        return content


class S3Place(BucketPlace):
    verified = "sha256"

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


class GooglePlace(BucketPlace):
    """With an HMAC key, over the XML API."""

    verified = "md5"

    def __init__(self, google: GoogleXml) -> None:
        super().__init__(google.store)
        self.google = google
        self.options = GoogleOptions(
            type="google",
            name="google",
            google_bucket=self.bucket,
            google_key_prefix=self.prefix,
            connection="customer_google",
        )
        self.credentials = Credentials(
            login=google.access_key, password=google.secret_key, extra={"endpoint_url": google.endpoint}
        )


class AzureBlobPlace(Place):
    """Looked at with the owner's client of Azure."""

    verified = "md5"

    def __init__(self, server: AzuriteServer) -> None:
        self.server = server
        self.container = server.make_container(unique("container"))
        self.options = AzureBlobOptions(
            type="azure_blob",
            name="azure-blob",
            account_url=server.account_url,
            container=self.container,
            prefix="testing",
        )
        self.credentials = Credentials(login=server.account, password=server.key)

    def names(self) -> set[str]:
        with self.server.container(self.container) as client:
            names = {blob.name for blob in client.list_blobs()}
        assert all(name.startswith("testing/") for name in names)
        return {name.removeprefix("testing/") for name in names}

    def read(self, path: str) -> bytes:
        with self.server.container(self.container) as client:
            content: bytes = client.download_blob(f"testing/{path}").readall()
        return content


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that don't compress and that differ from block to block."""
    import random

    return random.Random(f"{size} {seed}").randbytes(size)


def outgoing(path: str, data: bytes, **declared: Any) -> Outgoing:
    """A file as the steps hand it over: with its size and digest, unless told otherwise."""
    known = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | declared
    return Outgoing(path, lambda: io.BytesIO(data), **known)


class BrokenStream(io.RawIOBase):
    """Gives the first bytes of a content and then an error."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self._data = io.BytesIO(data)
        self._error = error

    def read(self, size: int = -1) -> bytes:
        block = self._data.read(size)
        if not block:
            raise self._error
        return block


class GeneratedStream(io.RawIOBase):
    """A large content that is never in memory as a whole."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = content(1 << 16)

    def read(self, size: int = -1) -> bytes:
        count = min(self._left, len(self._block), size if size >= 0 else self._left)
        self._left -= count
        return self._block[:count]


def stream(make: Callable[[], Any]) -> Callable[[], BinaryIO]:
    """A source's `open` from something that only knows how to read."""
    return make


def counted(files: Iterable[Outgoing], pulled: list[str]) -> Iterator[Outgoing]:
    """Notes which files have been asked for."""
    for file in files:
        pulled.append(file.path)
        yield file


def failure(result: Delivered | Undelivered) -> Any:
    """The error of a file that must not have arrived."""
    assert isinstance(result, Undelivered), result
    return result.error
