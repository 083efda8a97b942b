"""The kinds of destination on real servers, a look at each without our connectors, and how each refuses.

Adding a connector to the suite is one class here and its line in `PLACES`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import pwd
import threading
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, Self

import pytest

from outfeed.connectors import (
    AzureBlobOptions,
    Connector,
    EmailOptions,
    FtpOptions,
    GcsOptions,
    GoogleOptions,
    LocalOptions,
    S3Options,
    SftpOptions,
    open_connector,
)
from outfeed.connectors.base import Check, Credentials, Delivered, DestinationOptions, Outgoing, Undelivered
from outfeed.connectors.email_link import PAGES_HEADER
from tests.servers import versions
from tests.servers.azurite import AzuriteServer, azurite_server
from tests.servers.ftp import FtpServer, ftp_server
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.google_xml import GoogleXml, google_xml
from tests.servers.http_proxy import http_proxy
from tests.servers.process import MissingServerError, free_ports, scratch
from tests.servers.proftpd import proftpd_server, proftpd_sftp_server
from tests.servers.s3 import S3Server, s3_server
from tests.servers.small_disk import give_room, small_disk
from tests.servers.sshd import SshServer, ssh_server

#: What a server may refuse us besides creating files: to replace one, to remove, to rename, to make folders.
Right = Literal["overwrite", "delete", "rename", "mkdir"]

#: What a server may not offer at all: to rename, to sync, to tell a size.
Ability = Literal["rename", "fsync", "size"]

_NO_FOLDERS = "keys have no folders: none is made"
_NO_RENAME = "nothing is renamed: an object appears with its last request"
_ONE_PROTOCOL = "one protocol with one set of rules: nothing to find out"

_numbers = itertools.count()


def unique(word: str) -> str:
    """A name that no other test of this session uses."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


class Place(ABC):
    """One empty destination.

    Attributes:
        fixture: of tests/servers/fixtures.py, that starts the server.
        evidence: how much a passed test says of what customers have: the product itself, the vendor's
            stand-in, somebody's, or ours.
        verified: how a created file is verified there.
        largest: bytes of one file that the server can be asked to take, and why no more; None for any.
        meaningless: rights that have no meaning there, and what holds instead.
        abilities: what a server of the kind can lack, and how files then appear; none is asked for
            if empty, for the reason in `nothing_to_probe`.
    """

    fixture: ClassVar[str]
    evidence: ClassVar[str]
    options: DestinationOptions
    credentials: Credentials
    verified: str
    largest: ClassVar[tuple[int, str] | None] = None
    meaningless: ClassVar[Mapping[Right, str]] = {}
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {}
    nothing_to_probe: ClassVar[str] = _ONE_PROTOCOL

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        """A new place on the session's server."""
        return cls(request.getfixturevalue(cls.fixture))  # type: ignore[call-arg]

    @abstractmethod
    def product(self) -> str:
        """Name and version of the server."""

    def connector(self, attempt: str = "work.1", **changes: Any) -> Connector:
        """A connector that has not been entered yet."""
        options = type(self.options).model_validate(self.options.model_dump() | changes)
        return open_connector(options, self.credentials, attempt=attempt)

    def deliver(self, *files: Outgoing, attempt: str = "work.1", **changes: Any) -> dict[str, Any]:
        """Delivers in one session; the results by path."""
        with self.connector(attempt, **changes) as connector:
            return {result.path: result for result in connector.deliver(files)}

    def preflight(self) -> list[Check]:
        """All steps of the connector's preflight."""
        return list(self.connector().preflight())

    # -- a look that does not use our connectors

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """All below the base by the server's own listing, temporary and unfinished names included."""

    def names(self) -> set[str]:
        """The names of `sizes`."""
        return set(self.sizes())

    @abstractmethod
    def blocks(self, path: str) -> Iterator[bytes]:
        """Content of a file below the base, piece by piece."""

    def read(self, path: str) -> bytes:
        """Content of a file below the base."""
        return b"".join(self.blocks(path))

    def sha256(self, path: str) -> str:
        """Of a file below the base."""
        digest = hashlib.sha256()
        for block in self.blocks(path):
            digest.update(block)
        return digest.hexdigest()

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """Creates a file as somebody else would."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Removes a file as somebody else would."""

    # -- what the server refuses

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        """A place of this kind whose server refuses us a right, and how that was brought about."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of the right to {right}")
        yield

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        """A place that is soon full: it, bytes that do not fit, how to give it room, how it was made."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of a full disk")
        yield

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        """A place whose server does not offer something; how often it was asked for it; how that was made."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of lacking {ability}")
        yield


class FolderPlace(Place):
    """A place whose files this machine sees."""

    folder: Path

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if not path.is_dir():
                found[name] = path.stat().st_size
            elif not any(path.iterdir()):
                found[f"{name}/"] = 0
        return found

    def blocks(self, path: str) -> Iterator[bytes]:
        with (self.folder / path).open("rb") as stream:
            while block := stream.read(1 << 20):
                yield block

    def put(self, path: str, data: bytes) -> None:
        """As root, so that the server's user may not change it."""
        file = self.folder / path
        file.write_bytes(data)
        file.chmod(0o444)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        self.folder.mkdir(exist_ok=True)
        with small_disk(self.folder, 4):
            yield self, 10_000_000, lambda: give_room(self.folder, 40), "a file system of 4 MB"

    def _others_files_are_safe(self) -> str:
        """Lets everybody create files in the folder, and nobody touch those of others."""
        os.chown(self.folder, 0, 0)
        self.folder.chmod(0o1777)
        return "a file of another user, read-only, in a folder with the sticky bit"


class LocalPlace(FolderPlace):
    """A folder; what permissions refuse is tried as user nobody, because they refuse root nothing."""

    fixture = "tmp_path"
    evidence = "the real thing"
    verified = "size"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {}
    nothing_to_probe = "what the operating system refuses is an error: nothing is done in another way"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._account: pwd.struct_passwd | None = None
        self._set_options()

    def _set_options(self) -> None:
        self.options = LocalOptions(type="local", name="local", path=str(self.folder))
        self.credentials = Credentials()

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        folder: Path = request.getfixturevalue(cls.fixture) / "delivered"
        folder.mkdir()
        return cls(folder)

    def product(self) -> str:
        return versions.file_system(self.folder)

    def deliver(self, *files: Outgoing, attempt: str = "work.1", **changes: Any) -> dict[str, Any]:
        with acting_as(self._account):
            return super().deliver(*files, attempt=attempt, **changes)

    def preflight(self) -> list[Check]:
        with acting_as(self._account):
            return super().preflight()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        # User nobody may not enter pytest's own folders, nor import what was not imported yet.
        self.deliver(outgoing("warm-up", b""))
        with scratch("local", root_owned=True) as folder:
            place = type(self)(folder / "delivered")
            place.folder.mkdir()
            if right == "rename":
                (place.folder / "site").mkdir()
                with small_disk(place.folder / "site", 4):
                    yield place, "a folder below the base that is another file system: no links into it"
                return
            place._account = pwd.getpwnam("nobody")
            how = place._others_files_are_safe()
            if right == "mkdir":
                place.folder.chmod(0o555)
                how = "a folder that our user may not write"
            elif right == "delete":
                how = "leftovers of another user in a folder with the sticky bit"
                place._leave(place._account)
            yield place, how

    def _leave(self, account: pwd.struct_passwd) -> None:
        """What an older try of the same work left, which our user may not remove."""
        leftover = self.folder / ".outfeed-tmp" / "work.0~dead"
        leftover.mkdir(parents=True)
        (leftover / "0").write_bytes(b"part of a file")
        leftover.parent.chmod(0o1777)


class SftpPlace(FolderPlace):
    fixture = "sshd"
    evidence = "the real thing"
    verified = "size"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none", "fsync": "rename"}

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

    def product(self) -> str:
        return versions.openssh()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        denied = {"delete": "remove", "rename": "rename,posix-rename,hardlink", "mkdir": "mkdir"}[right]
        with ssh_server(sftp_arguments=f"-P {denied}") as server:
            yield SftpPlace(server), f"`sftp-server -P {denied}`"

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        denied = "rename,posix-rename,hardlink" if ability == "rename" else "fsync"
        with ssh_server(sftp_arguments=f"-P {denied}") as server:
            # OpenSSH in a chroot logs no requests: that they are not repeated is seen at ProFTPD.
            yield SftpPlace(server), lambda: 0, f"`sftp-server -P {denied}`"


class ProftpdSftpPlace(SftpPlace):
    """SFTP on ProFTPD, whose log shows what is asked for."""

    fixture = "proftpd_sftp"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none"}

    def product(self) -> str:
        return f"{versions.proftpd()} (mod_sftp)"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        commands = {"delete": "DELE REMOVE", "rename": "RNFR RNTO RENAME", "mkdir": "MKD XMKD MKDIR"}[right]
        with proftpd_sftp_server(f"<Limit {commands}>", "DenyAll", "</Limit>") as server:
            yield type(self)(server), f"`<Limit {commands}> DenyAll`"

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        assert ability == "rename"
        with self.without("rename") as (place, how):
            assert isinstance(place, ProftpdSftpPlace)
            log = place.server.log
            yield place, lambda: log.read_text(errors="replace").count("\nRENAME "), how


class FtpPlace(FolderPlace):
    """On vsftpd, which knows SIZE but not MLST, and whose rename overwrites."""

    fixture = "ftp"
    evidence = "the real thing"
    verified = "size"
    protocol: ClassVar[Literal["ftp", "ftps"]] = "ftp"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {"rename": "none", "size": "rename"}

    def __init__(self, server: FtpServer, protocol: Literal["ftp", "ftps"] | None = None) -> None:
        protocol = protocol or self.protocol
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

    def product(self) -> str:
        return versions.vsftpd()

    #: The commands of each right and ability.
    commands: ClassVar[Mapping[str, str]] = {
        "delete": "DELE",
        "rename": "RNFR",
        "mkdir": "MKD",
        "size": "SIZE",
    }

    @contextlib.contextmanager
    def _refusing(self, command: str) -> Iterator[tuple[Self, str]]:
        setting = f"cmds_denied={command}"
        with ftp_server(setting) as server:
            yield type(self)(server), f"`{setting}`"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            yield self, self._others_files_are_safe()
            return
        with self._refusing(self.commands[right]) as (place, how):
            yield place, how

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        command = self.commands[ability]
        with self._refusing(command) as (place, how):
            yield place, lambda: place._asked(command), how

    def _asked(self, command: str) -> int:
        """How often the server was sent a command, by its own log."""
        lines = self.server.log.read_text(errors="replace").splitlines()
        return sum(1 for line in lines if "command: " in line and f'"{command} ' in line)


class FtpsPlace(FtpPlace):
    protocol = "ftps"


class ProftpdPlace(FtpPlace):
    """FTPS on ProFTPD, which knows MLST."""

    fixture = "proftpd"
    protocol = "ftps"

    def product(self) -> str:
        return versions.proftpd()

    @contextlib.contextmanager
    def _refusing(self, command: str) -> Iterator[tuple[Self, str]]:
        with proftpd_server(f"<Limit {command}>", "DenyAll", "</Limit>") as server:
            yield type(self)(server), f"`<Limit {command}> DenyAll`"

    def _asked(self, command: str) -> int:
        lines = self.server.log.read_text(errors="replace").splitlines()
        return sum(1 for line in lines if line.startswith(f"{command} "))


class GcsPlace(Place):
    """Looked at with plain HTTP."""

    fixture = "gcs"
    evidence = "somebody's stand-in of Google Cloud Storage"
    verified = "crc32c"
    largest = (1 << 30, "1 GiB: with each piece the stand-in hashes all that it has, 5 GiB would take hours")
    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": _NO_FOLDERS, "rename": _NO_RENAME}

    def __init__(self, server: GcsServer) -> None:
        self.server = server
        self.bucket = unique("bucket")
        server.make_bucket(self.bucket)
        self.options = GcsOptions(type="gcs", name="gcs", storage_uri=f"gs://{self.bucket}/testing/")
        self.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": server.endpoint})

    def product(self) -> str:
        return versions.fake_gcs_server()

    def sizes(self) -> dict[str, int]:
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            query = urllib.parse.urlencode({"maxResults": 5000, "pageToken": token})
            url = f"{self.server.endpoint}/storage/v1/b/{self.bucket}/o?{query}"
            with urllib.request.urlopen(url) as answer:
                page = json.load(answer)
            items += page.get("items", [])
            token = page.get("nextPageToken", "")
            if not token:
                break
        # DX-052
        assert all(item["name"].startswith("testing/") for item in items)
        return {item["name"].removeprefix("testing/"): int(item["size"]) for item in items}

    def blocks(self, path: str) -> Iterator[bytes]:
        name = urllib.parse.quote(f"testing/{path}", safe="")
        url = f"{self.server.endpoint}/download/storage/v1/b/{self.bucket}/o/{name}?alt=media"
        with urllib.request.urlopen(url) as answer:
            while block := answer.read(1 << 20):
                yield block

    def put(self, path: str, data: bytes) -> None:
        self.server.client().bucket(self.bucket).blob(f"testing/{path}").upload_from_string(data)

    def remove(self, path: str) -> None:
        self.server.client().bucket(self.bucket).blob(f"testing/{path}").delete()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        def deletes(method: str, path: str) -> tuple[int, str] | None:
            return (403, _GOOGLE_FORBIDDEN) if right == "delete" and method == "DELETE" else None

        def overwrites(method: str, path: str, body: bytes) -> tuple[int, str] | None:
            refused = right == "overwrite" and self._overwrites(method, path, body)
            return (403, _GOOGLE_FORBIDDEN) if refused else None

        with http_proxy(self.server.port, deletes, overwrites) as url:
            self.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": url})
            yield self, "**mocked**: a proxy before the stand-in answers 403"

    def _overwrites(self, method: str, path: str, body: bytes) -> bool:
        """Whether a request would create over an object: Google asks for the right to delete first."""
        starts = method == "POST" and path.startswith("/upload/")
        return starts and any(f'"testing/{name}"'.encode() in body for name in self.names())

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        with gcs_server(megabytes=20) as server:
            place = type(self)(server)
            yield place, 50_000_000, server.give_room, "the stand-in's files on a file system of 20 MB"


_GOOGLE_FORBIDDEN = json.dumps({"error": {"code": 403, "message": "forbidden"}})


class BucketPlace(Place):
    """Looked at with the owner's client of S3; unfinished uploads count as names."""

    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": _NO_FOLDERS, "rename": _NO_RENAME}
    server: S3Server

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.make_bucket("customer")
        self.prefix = f"testing/{unique('base')}/"

    def sizes(self) -> dict[str, int]:
        client = self.server.client()
        outside = client.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        assert [entry["Prefix"] for entry in outside.get("CommonPrefixes", [])] in ([], ["testing/"])
        assert not outside.get("Contents")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        found = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
        uploads = client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix).get("Uploads", [])
        found |= {f"{upload['Key']}?unfinished": 0 for upload in uploads}
        return {name.removeprefix(self.prefix): size for name, size in found.items()}

    def blocks(self, path: str) -> Iterator[bytes]:
        body = self.server.client().get_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")["Body"]
        yield from body.iter_chunks(1 << 20)

    def put(self, path: str, data: bytes) -> None:
        self.server.client().put_object(Bucket=self.bucket, Key=f"{self.prefix}{path}", Body=data)

    def remove(self, path: str) -> None:
        self.server.client().delete_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")


class S3Place(BucketPlace):
    fixture = "s3"
    evidence = "another product that speaks S3; Amazon's was not tried"
    verified = "sha256"
    meaningless: ClassVar[Mapping[Right, str]] = {
        **BucketPlace.meaningless,
        "overwrite": "no right of its own at S3: each request carries If-None-Match",
    }

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

    def product(self) -> str:
        return versions.seaweedfs()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        """In a role whose policy denies removing."""
        assert right == "delete"
        self.credentials = Credentials(
            login=self.server.reader_access_key,
            password=self.server.reader_secret_key,
            extra=self.credentials.extra | {"role_arn": self.server.keeper_role_arn},
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_STS", self.server.endpoint)
            yield self, "an IAM role with `Deny s3:DeleteObject`"

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        how = "the server's files on a file system of 40 MB"
        with s3_server(megabytes=40) as server:
            yield (
                type(self)(server),
                100_000_000,
                server.give_room,
                how,
            )


class GooglePlace(BucketPlace):
    """With an HMAC key, over the XML API."""

    fixture = "google"
    evidence = "our own stand-in of Google's XML API before a product that speaks S3"
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

    def product(self) -> str:
        return f"tests/servers/google_xml.py before {versions.seaweedfs()}"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            self.google.may_overwrite = False
        else:
            self.google.may_delete = False
        yield self, "**mocked**: our stand-in answers 403"

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        with s3_server(megabytes=40) as server, google_xml(server) as google:
            how = "the files of the server behind it on a file system of 40 MB"
            yield type(self)(google), 100_000_000, server.give_room, how


class AzureBlobPlace(Place):
    """Looked at with the owner's client of Azure."""

    fixture = "azurite"
    evidence = "the vendor's own stand-in"
    verified = "md5"
    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": _NO_FOLDERS, "rename": _NO_RENAME}

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

    def product(self) -> str:
        return versions.azurite()

    def sizes(self) -> dict[str, int]:
        with self.server.container(self.container) as client:
            found = {blob.name: blob.size for blob in client.list_blobs()}
        assert all(name.startswith("testing/") for name in found)
        return {name.removeprefix("testing/"): size for name, size in found.items()}

    def blocks(self, path: str) -> Iterator[bytes]:
        with self.server.container(self.container) as client:
            yield from client.download_blob(f"testing/{path}").chunks()

    def put(self, path: str, data: bytes) -> None:
        with self.server.container(self.container) as client:
            client.upload_blob(f"testing/{path}", data, overwrite=True)

    def remove(self, path: str) -> None:
        with self.server.container(self.container) as client:
            client.delete_blob(f"testing/{path}")

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        # The right to create is not the one to replace: that is w.
        granted = {"delete": "rcwl", "overwrite": "rcl"}[right]
        self.credentials = Credentials(extra={"sas_token": self.server.sas(self.container, granted)})
        yield self, f"a SAS with `sp={granted}`"

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        with azurite_server(megabytes=40) as server:
            how = "the stand-in's files on a file system of 40 MB"
            yield type(self)(server), 100_000_000, server.give_room, how


class EmailPlace(LocalPlace):
    """The store of links, in a folder of ours; mails and pages have tests of their own."""

    fixture = "link_store"

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        return cls(request.getfixturevalue(cls.fixture))

    def product(self) -> str:
        return f"our store of links as a folder on {super().product()}"

    def _set_options(self) -> None:
        self.options = EmailOptions(
            type="email", name="email", emails=("bi@customer.example",), storage_uri=str(self.folder)
        )
        self.credentials = Credentials()


@contextlib.contextmanager
def pages_of_links() -> Iterator[str]:
    """The URL of something that answers as our pages with links do."""

    class Pages(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header(PAGES_HEADER, "links")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    (port,) = free_ports(1)
    server = ThreadingHTTPServer(("127.0.0.1", port), Pages)
    thread = threading.Thread(target=server.serve_forever, name="pages-of-links", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def acting_as(account: pwd.struct_passwd | None) -> Iterator[None]:
    """What this process does to files meanwhile, an account does."""
    if account is None:
        yield
        return
    if os.geteuid() != 0:
        raise MissingServerError("refused permissions are tried as another user: run as root (sudo)")
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


#: Every kind of destination; a connector may have several, one for each kind of server.
PLACES: dict[str, type[Place]] = {
    "local": LocalPlace,
    "sftp": SftpPlace,
    "sftp-proftpd": ProftpdSftpPlace,
    "ftp": FtpPlace,
    "ftps": FtpsPlace,
    "ftps-proftpd": ProftpdPlace,
    "s3": S3Place,
    "gcs": GcsPlace,
    "google": GooglePlace,
    "azure_blob": AzureBlobPlace,
    "email": EmailPlace,
}


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


class HeldStream(io.RawIOBase):
    """Gives the first bytes of a content, and the rest when it is told to go on."""

    def __init__(self, data: bytes, first: int) -> None:
        self._data = io.BytesIO(data)
        self._first = first
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int = -1) -> bytes:
        left = self._first - self._data.tell()
        if left > 0:
            return self._data.read(left if size < 0 else min(left, size))
        self.reached.set()
        if not self.go_on.wait(120):
            raise TimeoutError("nobody let the source go on")
        return self._data.read(size)


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
