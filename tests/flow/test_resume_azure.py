"""A large upload to Azure that ended in the middle is continued: blocks that are there are not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from outfeed.connectors.azure_objects import BLOCK_SIZE
from outfeed.connectors.base import Delivered
from outfeed.errors import TransientError
from tests.conformance.places import AzureBlobPlace
from tests.flow.resuming import NAME, NotingWire, Tries, sha256, source_file
from tests.hostile.http_wire import AzureWire, Request
from tests.hostile.patience import patience
from tests.hostile.tcp_wire import closing
from tests.servers.azurite import AzuriteServer

pytestmark = pytest.mark.servers

SIZE = 5 * BLOCK_SIZE + 1000


class NotingAzure(NotingWire, AzureWire):
    """What lies between us and Azurite."""


@pytest.fixture
def wire(azurite: AzuriteServer) -> Iterator[NotingAzure]:
    """What lies between us and the store."""
    with closing(NotingAzure(azurite.port)) as made:
        yield made


@pytest.fixture
def place(azurite: AzuriteServer) -> AzureBlobPlace:
    """An empty container."""
    return AzureBlobPlace(azurite)


@pytest.fixture
def tries(place: AzureBlobPlace, wire: NotingAzure, tmp_path: Path) -> Tries:
    """Tries to deliver one file of six blocks through the proxy."""
    url = f"http://127.0.0.1:{wire.port}/{place.server.account}"
    options = place.options.model_copy(update={"account_url": url})
    return Tries(tmp_path, options, place.credentials, source_file(tmp_path / "source", SIZE))


def blob_sha256(place: AzureBlobPlace) -> str:
    """Of the delivered blob, read with Azure's own client."""
    return hashlib.sha256(place.read(NAME)).hexdigest()


def blocks(wire: NotingAzure) -> list[int]:
    """Which MiB each block that arrived begins with."""
    return [int.from_bytes(request.body[:8], "big") // (1 << 20) for request in wire.parts]


def test_a_killed_process_is_continued_by_another_that_sends_only_what_is_missing(
    place: AzureBlobPlace, wire: NotingAzure, tries: Tries
) -> None:
    # XX-03, XX-04
    tries.killed(wire, 3)
    assert place.names() == set()
    wire.begin()
    with tries.begin() as process:
        assert process.wait(120) == 0
    assert blocks(wire) == [24, 32, 40]
    assert blob_sha256(place) == sha256(tries.source)
    with place.server.container(place.container) as client:
        listed = client.get_blob_client(f"testing/{NAME}").get_block_list("all")
    assert [len(found) for found in listed] == [6, 0]


def test_a_block_that_is_another_is_sent_again(
    place: AzureBlobPlace, wire: NotingAzure, tries: Tries, tmp_path: Path
) -> None:
    # XX-03
    wire.begin(limit=3)
    with patience(silent=False), pytest.raises(TransientError):
        tries.deliver()
    wire.begin()
    tries.source = source_file(tmp_path / "other", SIZE, altered=BLOCK_SIZE + 100)
    assert isinstance(tries.deliver(), Delivered)
    assert blocks(wire) == [8, 16, 24, 32, 40], "and all that follow it"
    assert blob_sha256(place) == sha256(tries.source)


def test_a_store_that_tells_no_blocks_gets_all_of_them_again(
    place: AzureBlobPlace, wire: NotingAzure, tries: Tries
) -> None:
    # XX-03
    def deny(request: Request) -> object:
        listing = request.method == "GET" and "comp=blocklist" in request.path
        return wire.refusal(403, "AuthorizationPermissionMismatch") if listing else None

    wire.begin(limit=3)
    with patience(silent=False), pytest.raises(TransientError):
        tries.deliver()
    wire.begin()
    wire.before = deny  # type: ignore[assignment]
    assert isinstance(tries.deliver(), Delivered)
    assert blocks(wire) == [0, 8, 16, 24, 32, 40]
    assert blob_sha256(place) == sha256(tries.source)
