"""One server of each kind per test session; started only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; make a database of your own with `create_database`."""
    with postgres_server() as server:
        yield server
