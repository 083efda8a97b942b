"""The servers of a session, each started when a story first needs it, and one empty place there per story."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from outfeed.connectors import S3Options
from outfeed.connectors.base import Credentials, DestinationOptions
from outfeed.connectors.local import LocalOptions
from outfeed.connectors.sftp import SftpOptions
from tests.conformance.places import (
    AzureBlobPlace,
    FtpPlace,
    GcsPlace,
    GooglePlace,
    Place,
    S3Place,
    SftpPlace,
)
from tests.conformance.places.base import unique
from tests.hostile.armed import Armed
from tests.hostile.ftp_wire import FtpWire
from tests.hostile.http_wire import AzureWire, GcsWire, HttpWire
from tests.hostile.local_disk import hostile_disk
from tests.hostile.sftp_server import SftpServer, sftp_server
from tests.hostile.story import Story
from tests.hostile.tcp_wire import Listener, TcpWire, closing
from tests.servers.azurite import AzuriteServer, azurite_server
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.ftp import FtpServer, ftp_server
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.google_xml import GoogleXml, google_xml
from tests.servers.s3 import S3Server, s3_server
from tests.servers.sshd import SshServer, ssh_server


class Site:
    """Where one story's files go, and what is really there, found out without our connectors."""

    options: DestinationOptions
    credentials: Credentials

    def holdings(self) -> dict[str, bytes]:
        """Every file below the base, temporary ones too, by path."""
        raise NotImplementedError

    def put(self, path: str, content: bytes) -> bool:
        """Creates a file as somebody else would; False if the name is taken."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Removes a file."""
        raise NotImplementedError

    def relative(self, name: str) -> str:
        """The path below the base of a name as the server calls it."""
        raise NotImplementedError

    def clear(self) -> None:
        """Removes everything."""


@dataclasses.dataclass
class FolderSite(Site):
    """A folder of this machine."""

    options: DestinationOptions
    credentials: Credentials
    folder: Path
    owner: tuple[int, int] | None = None

    def holdings(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for parent, _, names in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                # A temporary file may go while we look.
                with contextlib.suppress(FileNotFoundError):
                    found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found

    def put(self, path: str, content: bytes) -> bool:
        final = self.folder / path
        for parent in reversed(final.parents):
            if not parent.exists():
                os.mkdir(parent)  # noqa: PTH102 - the local connector's own calls are made to fail
                self._own(parent)
        try:
            descriptor = os.open(final, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        os.write(descriptor, content)
        os.close(descriptor)
        self._own(final)
        return True

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def _own(self, path: Path) -> None:
        if self.owner is not None:
            os.chown(path, *self.owner)

    def relative(self, name: str) -> str:
        folder = str(self.folder)
        name = name.removeprefix(f"{folder}/")
        base = f"{self.folder.name}/"
        return name.lstrip("/").partition(base)[2] if base in name else name

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclasses.dataclass
class S3Site(Site):
    """A prefix of a bucket, looked at with Amazon's client."""

    options: DestinationOptions
    credentials: Credentials
    client: Any
    bucket: str
    prefix: str

    def holdings(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        for page in pages:
            for item in page.get("Contents", []):
                body = self.client.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
                found[self.relative(item["Key"])] = body
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix)
        for upload in uploads.get("Uploads", []):
            found[f".outfeed-tmp/unfinished {self.relative(upload['Key'])}"] = b""
        return found

    def put(self, path: str, content: bytes) -> bool:
        from botocore.exceptions import ClientError

        name = {"Bucket": self.bucket, "Key": f"{self.prefix}{path}"}
        try:
            self.client.put_object(**name, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    def relative(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def clear(self) -> None:
        for path in self.holdings():
            if not path.startswith(".outfeed-tmp/unfinished "):
                self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")


@dataclasses.dataclass
class GcsSite(Site):
    """A prefix of a bucket, looked at with Google's client."""

    options: DestinationOptions
    credentials: Credentials
    client: Any
    bucket: str
    prefix: str = "testing/"

    def holdings(self) -> dict[str, bytes]:
        blobs = self.client.list_blobs(self.bucket)
        return {self.relative(blob.name): blob.download_as_bytes() for blob in blobs}

    def put(self, path: str, content: bytes) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        blob = self.client.bucket(self.bucket).blob(f"{self.prefix}{path}")
        try:
            blob.upload_from_string(content, if_generation_match=0)
        except PreconditionFailed:
            return False
        return True

    def relative(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def clear(self) -> None:
        for blob in self.client.list_blobs(self.bucket):
            blob.delete()


@dataclasses.dataclass
class AzureSite(Site):
    """A prefix of a container, looked at with Azure's client."""

    options: DestinationOptions
    credentials: Credentials
    client: Any
    prefix: str = "testing/"

    def holdings(self) -> dict[str, bytes]:
        names = [blob.name for blob in self.client.list_blobs()]
        return {self.relative(name): self.client.download_blob(name).readall() for name in names}

    def put(self, path: str, content: bytes) -> bool:
        from azure.core.exceptions import ResourceExistsError

        try:
            self.client.upload_blob(f"{self.prefix}{path}", content)
        except ResourceExistsError:
            return False
        return True

    def relative(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def clear(self) -> None:
        self.client.delete_container()
        self.client.close()


class Ground:
    """All servers; a context manager."""

    def __init__(self) -> None:
        self.armed = Armed()
        self.home = Path(tempfile.mkdtemp(prefix="outfeed-hostile-"))
        self._stack = contextlib.ExitStack()
        self._started: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _once(self, name: str, make: Any) -> Any:
        if name not in self._started:
            self._started[name] = self._stack.enter_context(make())
        return self._started[name]

    @contextlib.contextmanager
    def disk(self, story: Story) -> Iterator[None]:
        """This machine's disk fails where it is the destination."""
        if story.connector == "local":
            with hostile_disk(self.armed):
                yield
        else:
            yield

    def settle(self) -> None:
        """Waits until no server works for a client that is gone."""
        for wire in self._started.values():
            if isinstance(wire, Listener):
                wire.settle()

    def rearm(self) -> None:
        """Before each try: proxies count from the beginning, ports are open or closed."""
        for wire in self._started.values():
            if isinstance(wire, Listener):
                wire.set_down(self.armed.whole("down"))
                if isinstance(wire, TcpWire | HttpWire | FtpWire):
                    wire.rearm()

    def site(self, story: Story) -> Site:
        """An empty place behind what fails."""
        changes = {"parallel": story.parallel}
        if story.portable:
            changes |= {"filename_style": "portable"}
        if story.connector in ("sftp", "ftp", "ftps"):
            changes |= {"verify": story.verify}
        match story.connector:
            case "sftp":
                return self._sftp(story, changes)
            case "ftp" | "ftps":
                return self._ftp(story, changes)
            case "s3" | "google":
                return self._bucket(story, changes)
            case "gcs":
                return self._gcs(changes)
            case "azure_blob":
                return self._azure(changes)
            case _:
                folder = self.home / "delivered" / unique("base")
                options = LocalOptions(type="local", name="place", path=str(folder), **changes)
                return FolderSite(options, Credentials(), folder)

    def _sftp(self, story: Story, changes: dict[str, Any]) -> Site:
        hostile: SftpServer = self._once("sftp", lambda: sftp_server(self.armed))
        if story.server == "openssh":
            sshd: SshServer = self._once("sshd", ssh_server)
            place = SftpPlace(sshd)
            wire = self._once(
                "sshd wire", lambda: closing(TcpWire(self.armed, sshd.port, hostile.other_port))
            )
            options = _changed(place, changes | {"sftp_port": wire.port})
            owner = (sshd.user.pw_uid, sshd.user.pw_gid)
            return FolderSite(options, place.credentials, place.folder, owner)
        hostile.overwrites = story.server == "sftp overwrites"
        wire = self._once("sftp wire", lambda: closing(TcpWire(self.armed, hostile.port, hostile.other_port)))
        base = unique("base")
        (hostile.folder / base).mkdir()
        options = SftpOptions(
            type="sftp",
            name="place",
            sftp_host="127.0.0.1",
            sftp_port=wire.port,
            sftp_remote_path=f"/{base}",
            username="hostile",
            host_public_key=(hostile.host_public_key,),
            connection="customer_sftp",
            **changes,
        )
        credentials = Credentials(extra={"private_key": hostile.private_key})
        return FolderSite(options, credentials, hostile.folder / base)

    def _ftp(self, story: Story, changes: dict[str, Any]) -> Site:
        server: FtpServer = self._once("ftp", ftp_server)
        certificates: Certificates = self._once(
            "certificates", lambda: contextlib.nullcontext(make_certificates("127.0.0.1"))
        )
        wire = self._once("ftp wire", lambda: closing(FtpWire(self.armed, server.port, certificates)))
        wire.without_rename = story.server == "ftp no rename"
        place = FtpPlace(server, "ftps" if story.connector == "ftps" else "ftp")
        if story.connector == "ftps":
            changes |= {"ftps_ca": certificates.ca}
        options = _changed(place, changes | {"ftp_port": wire.port})
        owner = (server.user.pw_uid, server.user.pw_gid)
        return FolderSite(options, place.credentials, place.folder, owner)

    def _bucket(self, story: Story, changes: dict[str, Any]) -> Site:
        store: S3Server = self._once("s3", s3_server)
        client = self._once("s3 client", lambda: contextlib.nullcontext(store.client()))
        if story.connector == "s3":
            place: S3Place | GooglePlace = self._once(
                "s3 place", lambda: contextlib.nullcontext(S3Place(store))
            )
            wire = self._once("s3 wire", lambda: closing(HttpWire(self.armed, store.port)))
            prefix_name = "s3_key_prefix"
        else:
            google: GoogleXml = self._once("google", lambda: google_xml(store))
            google.requests.clear()
            place = self._once("google place", lambda: contextlib.nullcontext(GooglePlace(google)))
            port = int(google.endpoint.rpartition(":")[2])
            wire = self._once("google wire", lambda: closing(HttpWire(self.armed, port)))
            prefix_name = "google_key_prefix"
        prefix = f"testing/{unique('base')}/"
        options = _changed(place, changes | {prefix_name: prefix})
        if isinstance(options, S3Options):
            options = options.model_copy(update={"connection": "customer_s3"})
        extra = place.credentials.extra | {"endpoint_url": f"http://127.0.0.1:{wire.port}"}
        credentials = dataclasses.replace(place.credentials, extra=extra)
        return S3Site(options, credentials, client, place.bucket, prefix)

    def _gcs(self, changes: dict[str, Any]) -> Site:
        server: GcsServer = self._once("gcs", gcs_server)
        client = self._once("gcs client", lambda: contextlib.nullcontext(server.client()))
        wire = self._once("gcs wire", lambda: closing(GcsWire(self.armed, server.port)))
        place = GcsPlace(server)
        extra = place.credentials.extra | {"api_endpoint": f"http://127.0.0.1:{wire.port}"}
        credentials = dataclasses.replace(place.credentials, extra=extra)
        return GcsSite(_changed(place, changes), credentials, client, place.bucket)

    def _azure(self, changes: dict[str, Any]) -> Site:
        server: AzuriteServer = self._once("azurite", azurite_server)
        wire = self._once("azure wire", lambda: closing(AzureWire(self.armed, server.port)))
        place = AzureBlobPlace(server)
        url = f"http://127.0.0.1:{wire.port}/{server.account}"
        options = _changed(place, changes | {"account_url": url})
        return AzureSite(options, place.credentials, server.container(place.container))


def _changed(place: Place, changes: dict[str, Any]) -> DestinationOptions:
    values = place.options.model_dump() | {"name": "place"} | changes
    return type(place.options).model_validate(values)
