"""Azure Blob Storage, on Azurite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from outfeed.connectors import AzureBlobOptions
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import NO_FOLDERS, NO_RENAME, Place, Right, unique
from tests.servers import versions
from tests.servers.azurite import AzuriteServer, azurite_server


class AzureBlobPlace(Place):
    """Looked at with the owner's client of Azure."""

    fixture = "azurite"
    evidence = "the vendor's own stand-in"
    verified = "md5"
    meaningless: ClassVar[Mapping[Right, str]] = {"mkdir": NO_FOLDERS, "rename": NO_RENAME}

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
