"""Azurite, Microsoft's own stand-in of Azure Blob Storage, which checks signatures, conditions and MD5s."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.process import binary, free_ports, running, scratch
from tests.servers.small_disk import OnDisk, own_disk

INSTALL = "apt-get install -y --no-install-recommends npm"

#: What is installed is pinned here with the hashes of all its packages.
PINNED = Path(__file__).parent / "azurite_npm"
FOLDER = Path(__file__).resolve().parents[2] / ".outfeed" / "azurite"


@dataclasses.dataclass(frozen=True)
class AzuriteServer(OnDisk):
    """A running server with one account.

    Attributes:
        account_url: `http://127.0.0.1:<port>/<account>`.
        key: the account's key, which may do everything.
        disk: a small one of its own that holds the blobs, if there is one.
    """

    port: int
    key: str
    account: str = "outfeedtests"

    @property
    def account_url(self) -> str:
        """URL of the account."""
        return f"http://127.0.0.1:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """What Azure's portal calls so."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};"
            f"BlobEndpoint={self.account_url};"
        )

    def container(self, name: str) -> Any:
        """The owner's client of a container, for looking at what arrived."""
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_connection_string(self.connection_string, name)

    def make_container(self, name: str) -> str:
        """A new, empty container."""
        with self.container(name) as client:
            client.create_container()
        return name

    def sas(self, container: str, permissions: str, hours: float = 1) -> str:
        """A SAS of a container, such as a customer gives us."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        return generate_container_sas(
            self.account,
            container,
            self.key,
            permission=ContainerSasPermissions.from_string(permissions),
            expiry=dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours),
        )


@contextlib.contextmanager
def azurite_server(*, megabytes: int | None = None) -> Iterator[AzuriteServer]:
    """A server on a free port with its data in a scratch folder, or on a disk of so many MB."""
    node = binary("node", INSTALL)
    main = _installed() / "node_modules/azurite/dist/src/blob/main.js"
    (port,) = free_ports(1)
    key = base64.b64encode(os.urandom(64)).decode()
    with scratch("azurite") as folder, own_disk(folder / "blobs", megabytes) as disk:
        server = AzuriteServer(port, key, disk=disk)
        command = [node, str(main), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
        # The SDK may speak a newer version of the protocol than the server knows.
        command += ["--location", str(disk or folder), "--skipApiVersionCheck", "--disableTelemetry"]
        accounts = {"AZURITE_ACCOUNTS": f"{server.account}:{server.key}"}
        with running(command, port=port, log=folder / "log", env={**os.environ, **accounts}, seconds=60):
            yield server


def _installed() -> Path:
    """The folder with the pinned version, installed unless it is there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pinned = (PINNED / "package-lock.json").read_bytes()
        done = FOLDER / "installed.json"
        if not done.exists() or done.read_bytes() != pinned:
            npm = binary("npm", INSTALL)
            for name in ("package.json", "package-lock.json"):
                (FOLDER / name).write_bytes((PINNED / name).read_bytes())
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FOLDER,
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=600,
            )
            done.write_bytes(pinned)
    return FOLDER
