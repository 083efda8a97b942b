"""One run to every kind of destination on real servers: the same tree everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from outfeed.plan import Reason
from tests.conformance.places import (
    AzureBlobPlace,
    FtpPlace,
    GcsPlace,
    GooglePlace,
    LocalPlace,
    Place,
    S3Place,
    SftpPlace,
)
from tests.flow.test_delivery import DATA, FIRST, FOLDER
from tests.flow.world import NAME, SITE_A, SITE_B, World, config
from tests.servers.azurite import AzuriteServer
from tests.servers.ftp import FtpServer
from tests.servers.gcs import GcsServer
from tests.servers.google_xml import GoogleXml
from tests.servers.s3 import S3Server
from tests.servers.sshd import SshServer

pytestmark = pytest.mark.servers

OUR_OWN = {f"{FOLDER}/{name}" for name in ("IMAGES", "MANIFEST", "SHA256SUMS", "_SUCCESS")}


@pytest.fixture
def places(
    tmp_path: Path,
    sshd: SshServer,
    gcs: GcsServer,
    s3: S3Server,
    ftp: FtpServer,
    google: GoogleXml,
    azurite: AzuriteServer,
) -> list[Place]:
    """One empty place of each kind."""
    return [
        LocalPlace(tmp_path / "local"),
        SftpPlace(sshd),
        GcsPlace(gcs),
        S3Place(s3),
        GooglePlace(google),
        AzureBlobPlace(azurite),
        FtpPlace(ftp),
        FtpPlace(ftp, "ftps"),
    ]


@pytest.fixture
def world(tmp_path: Path, places: list[Place]) -> World:
    """A customer who receives everything at all of them."""
    options = [place.options.model_dump(mode="json") | {"export_images": True} for place in places]
    made = World(tmp_path / "world", config(options))
    made.credentials = {place.options.name: place.credentials for place in places}
    return made


def test_every_connector_delivers_the_same_tree_with_images(world: World, places: list[Place]) -> None:
    # DX-030, DX-031, DX-050, DX-071, DX-091
    image = world.image("9a739279-0904-4710-b740-53971660f2ae.png")
    world.deliver(FIRST, {SITE_A: [image]}, reason=Reason.TEST)
    documented = {f"{SITE_A}/{DATA}/{NAME}.json", f"{SITE_B}/{DATA}/{NAME}.json", f"{SITE_A}/inputs/{image}"}
    for place in places:
        assert place.names() == documented | OUR_OWN, place.options.name
        assert {path: place.read(path) for path in documented} == {
            path: places[0].read(path) for path in documented
        }
        assert place.read(f"{SITE_A}/{DATA}/{NAME}.json") == FIRST[SITE_A]


def test_every_place_gets_revisions_and_never_the_same_twice(world: World, places: list[Place]) -> None:
    # DX-062, DX-063, XX-03
    world.deliver(FIRST, reason=Reason.TEST)
    before = {place.options.name: {path: place.read(path) for path in place.names()} for place in places}
    again = world.deliver(FIRST)
    assert {result["outcome"] for result in again.values()} == {"nothing-new"}
    assert before == {p.options.name: {path: p.read(path) for path in p.names()} for p in places}
    changed = world.deliver(FIRST | {SITE_B: b'{"id":7}\n'})
    assert {result["revision"] for result in changed.values()} == {2}
    for place in places:
        assert place.read(f"{SITE_B}/{DATA}/{NAME}__r2.json") == b'{"id":7}\n'
        assert place.read(f"{SITE_B}/{DATA}/{NAME}.json") == FIRST[SITE_B]
