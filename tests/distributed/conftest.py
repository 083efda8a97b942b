"""One cluster for all tests of this folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.distributed.cluster import Cluster, cluster
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server
from tests.servers.sshd import SshServer


@pytest.fixture(scope="package")
def two_workers(postgres: PostgresServer, s3: S3Server, sshd: SshServer) -> Iterator[Cluster]:
    """CeleryExecutor with a worker on each of two hosts."""
    # So that nothing is left running when somebody ends the tests.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cluster(postgres, s3, sshd) as made:
            yield made
    finally:
        signal.signal(signal.SIGTERM, before)
