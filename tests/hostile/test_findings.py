"""What the stories have found, each as small as it can be told."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import asyncssh
import pytest

from outfeed.connectors import SftpOptions, open_connector
from outfeed.connectors.base import CheckState, Credentials
from outfeed.connectors.ftp_base import FtpBase
from outfeed.connectors.gcs_client import translated as google_translated
from outfeed.connectors.local import LocalConnector
from outfeed.connectors.s3_client import translated
from outfeed.connectors.sftp_base import SftpBase
from outfeed.errors import SupersededError, TerminalError, TransientError
from outfeed.ledger.records import FileKind, RunState
from outfeed.plan import Reason
from tests.flow.world import SITE_A, World, config
from tests.hostile.ground import FolderSite, Ground
from tests.hostile.story import ALWAYS, Fault, Story, tell
from tests.hostile.tcp_wire import reset
from tests.servers.sshd import public_line

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """The servers, started when a test needs them."""
    with Ground() as ground:
        yield ground


def _story(connector: str, server: str) -> Story:
    seed = next(seed for seed in range(1000) if tell(seed).connector == connector)
    return dataclasses.replace(tell(seed), server=server, portable=False, verify="size", parallel=1)


def _checks(ground: Ground, story: Story, *faults: Fault) -> dict[str, Any]:
    """Steps of a preflight while these faults happen, by name."""
    site = ground.site(story)
    ground.armed.arm(faults)
    ground.rearm()
    connector = open_connector(site.options, site.credentials, attempt="work.1")
    try:
        return {check.step: check for check in connector.preflight()}
    finally:
        ground.armed.arm(())
        ground.rearm()
        site.clear()


def test_the_newest_try_is_tried_again_when_an_orphan_removed_its_files(tmp_path: Path) -> None:
    """A terminal error would end the run for good, and the orphan can't record what it delivers."""
    destination = {"name": "place", "type": "local", "path": str(tmp_path / "delivered")}
    world = World(tmp_path, config([destination], site_id=[SITE_A]))
    run = world.plan(Reason.TEST)
    world.package(run, {SITE_A: b"{}\n"})
    gone = SupersededError("a newer try of this delivery has taken over", where="local:delivered")

    with (
        mock.patch.object(LocalConnector, "deliver", side_effect=gone),
        pytest.raises(TransientError, match="older try") as raised,
    ):
        world.upload(run, "place", "1-try")

    assert raised.value.remedy
    newest = world.ledger.attempts("acme", run.plan.run_id)[-1]
    assert (newest.step, newest.state) == ("upload", RunState.FAILED)
    assert world.upload(run, "place", "2-try")["outcome"] == "delivered"


def test_an_image_goes_beside_as_many_files_of_others_as_data_does(tmp_path: Path) -> None:
    # XX-04
    base = tmp_path / "delivered"
    world = World(
        tmp_path,
        config(
            [{"name": "place", "type": "local", "path": str(base), "export_images": True}], site_id=[SITE_A]
        ),
    )
    run = world.plan(Reason.TEST)
    world.package(run, {SITE_A: b"{}\n"}, {SITE_A: [world.image("a.png")]})
    taken = [base / SITE_A / "inputs" / name for name in ("a.png", "a__r2.png", "a__r3.png")]
    for file in taken:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("somebody else's")

    assert world.upload(run, "place", "1-try")["images"] == 1

    assert [file.read_text() for file in taken] == ["somebody else's"] * 3
    assert (taken[0].parent / "a__r4.png").read_bytes() == (world.images / "a.png").read_bytes()
    (image,) = [
        file for file in world.ledger.files_of_run("acme", run.plan.run_id) if file.kind is FileKind.IMAGE
    ]
    assert (image.revision, image.path[-9:], str(image.supersedes)[-9:]) == (4, "a__r4.png", "a__r3.png")


def test_an_older_try_is_still_told_that_it_is_superseded(tmp_path: Path) -> None:
    destination = {"name": "place", "type": "local", "path": str(tmp_path / "delivered")}
    world = World(tmp_path, config([destination], site_id=[SITE_A]))
    run = world.plan(Reason.TEST)
    world.package(run, {SITE_A: b"{}\n"})

    def overtaken(*_: object) -> Iterator[Any]:
        world.ledger.begin_attempt("acme", run.plan.run_id, "upload", "place", "2-newer")
        raise SupersededError("a newer try of this delivery has taken over", where="local:delivered")

    with (
        mock.patch.object(LocalConnector, "deliver", side_effect=overtaken),
        pytest.raises(SupersededError, match="superseded by try 2"),
    ):
        world.upload(run, "place", "1-try")


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"])
def test_what_arrives_damaged_at_s3_is_sent_again(code: str) -> None:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    with pytest.raises(TransientError, match=code), translated("create a file", "s3://bucket/"):
        raise ClientError(answer, "PutObject")  # type: ignore[arg-type]


def test_what_arrives_damaged_at_google_is_sent_again() -> None:
    from google.api_core.exceptions import BadRequest

    damaged = BadRequest('Provided CRC32C "a" doesn\'t match calculated CRC32C "b".')  # type: ignore[no-untyped-call]
    with (
        pytest.raises(TransientError),
        google_translated("create a file", "storage.objects.create", "gs://bucket/"),
    ):
        raise damaged
    with (
        pytest.raises(TerminalError),
        google_translated("create a file", "storage.objects.create", "gs://bucket/"),
    ):
        raise BadRequest("Invalid argument.")  # type: ignore[no-untyped-call]


def test_an_sftp_server_that_resets_at_once_is_tried_again() -> None:
    """Now and then the reset is there before the address was read; asyncssh then raised a TypeError."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_reset_all, args=(listening,), daemon=True).start()
        options = SftpOptions(
            type="sftp",
            name="place",
            sftp_host="127.0.0.1",
            sftp_port=listening.getsockname()[1],
            sftp_remote_path="/upload",
            username="customer",
            host_public_key=(public_line(key),),
            connection="customer_sftp",
        )
        credentials = Credentials(extra={"private_key": key.export_private_key().decode()})
        for number in range(100):
            with (
                pytest.raises(TransientError),
                open_connector(options, credentials, attempt=f"work.{number}"),
            ):
                pass
        listening.shutdown(socket.SHUT_RDWR)


def _reset_all(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            reset(listening.accept()[0])


@pytest.mark.parametrize("server", ["openssh", "sftp"])
def test_wherever_a_login_is_cut_off_it_is_tried_again(ground: Ground, server: str) -> None:
    """A connection lost while SFTP starts looks like a server that offers none."""
    # XX-08
    story = _story("sftp", server)
    reached: set[str] = set()
    for sent in range(0, 4200, 100):
        checks = _checks(ground, story, Fault("cut", after=sent))
        failed = [check for check in checks.values() if check.state is CheckState.FAILED]
        assert all(isinstance(check.error, TransientError) for check in failed), (sent, failed)
        reached |= {check.step for check in failed}

    assert reached >= {"host key", "authenticate", "sftp"}


def test_a_connection_lost_in_the_clean_up_of_a_preflight_is_no_missing_right(ground: Ground) -> None:
    # The first three are those of the probes of rename.
    checks = _checks(ground, _story("sftp", "sftp"), Fault("lost", "remove", after=3, times=ALWAYS))

    failed = [check for check in checks.values() if check.state is CheckState.FAILED]
    assert [check.step for check in failed] == ["clean up"]
    assert isinstance(failed[0].error, TransientError)


def test_a_busy_ftp_server_has_not_refused_a_colon(ground: Ground) -> None:
    checks = _checks(ground, _story("ftp", "ftp"), Fault("refuse", "RNTO", after=1, times=1, amount=450))

    assert checks["rename"].state is CheckState.FAILED
    assert isinstance(checks["rename"].error, TransientError)


@pytest.mark.parametrize("connector", ["s3", "google", "azure_blob"])
def test_a_store_that_tells_another_size_is_explained(ground: Ground, connector: str) -> None:
    checks = _checks(ground, _story(connector, connector), Fault("wrong size", "head", times=ALWAYS))

    assert checks["size"].state is CheckState.FAILED
    assert checks["size"].error.remedy


@pytest.mark.parametrize(
    ("connector", "owner", "moment", "call"),
    [
        ("ftp", FtpBase, "write_probe", 0),
        ("ftp", FtpBase, "probe_looking", 0),
        ("ftp", FtpBase, "probe_rename", 0),
        ("sftp", SftpBase, "_touch", 0),
        ("sftp", SftpBase, "_renames", 0),
    ],
)
def test_a_try_whose_folder_an_orphan_removes_at_once_is_tried_again(
    ground: Ground, connector: str, owner: type, moment: str, call: int
) -> None:
    """It must neither end the run for good nor take the server for one that can't rename."""
    # XX-03, XX-04
    site = ground.site(_story(connector, connector))
    assert isinstance(site, FolderSite)
    original = getattr(owner, moment)
    calls = iter(range(10))

    def sweep() -> None:
        if next(calls) == call:
            shutil.rmtree(site.folder / ".outfeed-tmp")

    def swept(*arguments: Any) -> Any:
        sweep()
        return original(*arguments)

    async def swept_async(*arguments: Any) -> Any:
        sweep()
        return await original(*arguments)

    replacement = swept_async if inspect.iscoroutinefunction(original) else swept
    try:
        with (
            mock.patch.object(owner, moment, replacement),
            pytest.raises(TransientError, match="removed while we were writing") as raised,
            open_connector(site.options, site.credentials, attempt="work.2"),
        ):
            pass
        assert raised.value.remedy
    finally:
        site.clear()


@pytest.mark.parametrize(("moment", "call"), [("attributes", 1), ("_make_folder", 1)])
def test_the_folder_of_all_tries_is_made_again_when_an_orphan_that_ends_removes_it(
    ground: Ground, moment: str, call: int
) -> None:
    """Between 'it exists' and a look at it, and between making it and making ours in it."""
    # XX-03
    site = ground.site(_story("sftp", "sftp"))
    assert isinstance(site, FolderSite)
    others = site.folder / ".outfeed-tmp"
    others.mkdir()
    original = getattr(SftpBase, moment)
    calls = iter(range(100))

    async def swept(*arguments: Any) -> Any:
        if next(calls) == call:
            others.rmdir()
        return await original(*arguments)

    try:
        with (
            mock.patch.object(SftpBase, moment, swept),
            open_connector(site.options, site.credentials, attempt="work.2") as connector,
        ):
            assert connector.capabilities.atomic == "rename"
            assert [folder.name.partition("~")[0] for folder in others.iterdir()] == ["work.2"]
    finally:
        site.clear()
