"""Where files wait to be downloaded: a folder, a bucket of Amazon S3 or of Google; its URI names all three.

The store is ours, not the customer's: what lies there is put by our connectors, handed out by short-lived
URLs where the store can sign them, and removed when its time is over.
"""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from outfeed.connectors.base import Connector, Credentials, safe_relative_path
from outfeed.connectors.gcs import GcsConnector, GcsOptions
from outfeed.connectors.gcs_client import TIMEOUT
from outfeed.connectors.gcs_client import open_client as open_gcs_client
from outfeed.connectors.gcs_client import translated as translated_gcs
from outfeed.connectors.local import LocalConnector, LocalOptions
from outfeed.connectors.s3 import S3Connector, S3Options
from outfeed.connectors.s3_client import open_client as open_s3_client
from outfeed.connectors.s3_client import translated
from outfeed.errors import TerminalError
from outfeed.home import home

#: Environment variable: the store of all destinations that name none.
STORE_VARIABLE = "OUTFEED_LINK_STORE_URI"
#: Below OUTFEED_HOME.
DEFAULT_STORE = "links"

_OCTETS = "application/octet-stream"


def default_store() -> str:
    """The store of destinations that name none."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


def checked_uri(value: str) -> str:
    """The URI of a store without needless slashes.

    Raises:
        ValueError: it is neither a folder nor a bucket of S3 or Google, or it holds a password.
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "file", value
    if scheme not in ("file", "s3", "gs"):
        raise ValueError(f"{value!r} is no store for links: a folder, s3://… or gs://…")
    user = rest.partition("/")[0].rpartition("@")[0]
    if ":" in user or (user and not re.fullmatch(r"[\w.-]{1,200}", user)):
        raise ValueError("a store's URI names an Airflow connection before the '@', and never a password")
    parts = rest.split("/")
    if not rest.strip("/") or ".." in parts or re.search(r"[\x00-\x1f\\?#*\[\]]", rest):
        raise ValueError(f"{value!r} names no place: '..', '\\' and characters of a pattern are refused")
    return value.rstrip("/")


def connection_of(uri: str) -> str | None:
    """The Airflow connection that a store's URI names: `s3://connection@bucket/folder`."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return None
    return rest.partition("/")[0].rpartition("@")[0] or None


class LinkStore(ABC):
    """One folder of a store, complete with everything below it.

    Args:
        uri: of the folder, as `checked_uri` gives it.
        credentials: plain values of the connection that the URI names.
    """

    def __init__(self, uri: str, credentials: Credentials) -> None:
        self.uri = uri
        self.credentials = credentials

    @abstractmethod
    def connector(self, *, attempt: str, parallel: int) -> Connector:
        """Puts files there, complete or absent."""

    def origin(self) -> str | None:
        """Scheme and host of the URLs that `url` gives; None if it gives none."""
        signed = self.url("probe", "probe", seconds=1)
        return None if signed is None else "{0.scheme}://{0.netloc}".format(urlsplit(signed))

    def url(self, path: str, name: str, *, seconds: int) -> str | None:
        """A URL that gives the file as a download to whoever has it, for some seconds; None if impossible."""
        return None

    def local_path(self, path: str) -> Path | None:
        """The file on a disk of this machine, if that is where it is."""
        return None

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """The file's content. Raises FileNotFoundError."""

    @abstractmethod
    def remove(self) -> int:
        """Removes the folder with everything below it; how many files there were."""


def open_store(uri: str, credentials: Credentials) -> LinkStore:
    """The store of a URI; nothing is connected yet."""
    kinds: dict[str, type[LinkStore]] = {"s3": S3LinkStore, "gs": GcsLinkStore}
    kind = kinds.get(uri.partition("://")[0], FolderLinkStore)
    return kind(uri, credentials)


def disposition(name: str) -> str:
    """The header by which a browser saves a file under a name instead of showing it."""
    return f"attachment; filename*=utf-8''{quote(name, safe='')}"


class FolderLinkStore(LinkStore):
    """A folder of this machine or a mounted share; a relative one lies under OUTFEED_HOME."""

    @property
    def folder(self) -> Path:
        """The absolute folder."""
        return home() / self.uri.removeprefix("file://")

    def connector(self, *, attempt: str, parallel: int) -> Connector:
        """See the base class."""
        options = LocalOptions(type="local", name="links", path=str(self.folder), parallel=parallel)
        return LocalConnector(options, self.credentials, attempt=attempt)

    def local_path(self, path: str) -> Path | None:
        """See the base class."""
        return self.folder / safe_relative_path(path)

    def open(self, path: str) -> BinaryIO:
        """See the base class."""
        return (self.folder / safe_relative_path(path)).open("rb")

    def remove(self) -> int:
        """See the base class."""
        found = sum(1 for path in self.folder.rglob("*") if path.is_file())
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise TerminalError(
                f"expired files can't be removed: {error.strerror}",
                where=self.uri,
                remedy="give the worker's user the right to remove files there",
            ) from error
        return found


class S3LinkStore(LinkStore):
    """A bucket of Amazon S3 or a compatible store: `s3://connection@bucket/folder`."""

    def connector(self, *, attempt: str, parallel: int) -> Connector:
        """See the base class."""
        return S3Connector(self._options(parallel), self.credentials, attempt=attempt)

    def url(self, path: str, name: str, *, seconds: int) -> str | None:
        """See the base class."""
        with translated("sign a URL", self.uri):
            signed: str = self._client().generate_presigned_url(
                "get_object",
                Params={
                    **self._object(path),
                    "ResponseContentDisposition": disposition(name),
                    "ResponseContentType": _OCTETS,
                    "ResponseCacheControl": "no-store",
                },
                ExpiresIn=seconds,
            )
        return signed

    def open(self, path: str) -> BinaryIO:
        """See the base class."""
        client = self._client()
        with translated(f"read {path}", self.uri):
            try:
                body: BinaryIO = client.get_object(**self._object(path))["Body"]
            except client.exceptions.NoSuchKey as error:
                raise FileNotFoundError(path) from error
        return body

    def remove(self) -> int:
        """See the base class."""
        client, options = self._client(), self._options()
        keys = list(self._keys(client, options))
        with translated("remove expired files", self.uri):
            for key in keys:
                client.delete_object(Bucket=options.s3_bucket, Key=key)
        return len(keys)

    def _keys(self, client: Any, options: S3Options) -> Iterator[str]:
        with translated("list expired files", self.uri):
            pages = client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=options.s3_bucket, Prefix=options.s3_key_prefix):
                yield from (item["Key"] for item in page.get("Contents", []))

    def _client(self) -> Any:
        return open_s3_client(self._options(), self.credentials)

    def _object(self, path: str) -> dict[str, str]:
        options = self._options()
        return {"Bucket": options.s3_bucket, "Key": f"{options.s3_key_prefix}{safe_relative_path(path)}"}

    def _options(self, parallel: int = 8) -> S3Options:
        bucket, prefix = _bucket(self.uri)
        return S3Options(type="s3", name="links", s3_bucket=bucket, s3_key_prefix=prefix, parallel=parallel)


class GcsLinkStore(LinkStore):
    """A bucket of Google Cloud Storage: `gs://connection@bucket/folder`."""

    def connector(self, *, attempt: str, parallel: int) -> Connector:
        """See the base class."""
        return GcsConnector(self._options(parallel), self.credentials, attempt=attempt)

    def url(self, path: str, name: str, *, seconds: int) -> str | None:
        """See the base class; None for an identity without a private key, which can't sign."""
        blob = self._blob(path)
        try:
            signed: str = blob.generate_signed_url(
                version="v4",
                expiration=seconds,
                response_disposition=disposition(name),
                response_type=_OCTETS,
            )
        except AttributeError:
            # What Google's client raises for credentials that can't sign.
            return None
        return signed

    def open(self, path: str) -> BinaryIO:
        """See the base class."""
        blob = self._blob(path)
        with translated_gcs(f"read {path}", "storage.objects.get", self.uri):
            if not blob.exists(timeout=TIMEOUT):
                raise FileNotFoundError(path)
            stream: BinaryIO = blob.open("rb")
        return stream

    def remove(self) -> int:
        """See the base class."""
        options = self._options()
        client = open_gcs_client(options, self.credentials)
        with translated_gcs("remove expired files", "storage.objects.delete", self.uri):
            found = list(client.list_blobs(options.bucket, prefix=options.prefix, timeout=TIMEOUT))
            for blob in found:
                blob.delete(timeout=TIMEOUT)
        return len(found)

    def _blob(self, path: str) -> Any:
        options = self._options()
        bucket = open_gcs_client(options, self.credentials).bucket(options.bucket)
        return bucket.blob(f"{options.prefix}{safe_relative_path(path)}")

    def _options(self, parallel: int = 8) -> GcsOptions:
        bucket, prefix = _bucket(self.uri)
        uri = f"gs://{bucket}/{prefix}"
        return GcsOptions(type="gcs", name="links", storage_uri=uri, parallel=parallel)


def _bucket(uri: str) -> tuple[str, str]:
    """Bucket and prefix of a URI."""
    place, _, prefix = uri.partition("://")[2].partition("/")
    return place.rpartition("@")[2], prefix
