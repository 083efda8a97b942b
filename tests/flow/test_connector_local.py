"""What only a folder has: hard links, leftovers on this machine, a full disk."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outfeed.connectors.base import CheckState, Credentials, Delivered
from outfeed.connectors.local import LocalConnector, LocalOptions
from outfeed.connectors.transfer import TEMPORARY_FOLDER
from outfeed.errors import TerminalError
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import LocalPlace


@pytest.fixture
def place(tmp_path: Path) -> LocalPlace:
    """A folder that does not exist yet."""
    return LocalPlace(tmp_path / "delivered")


def test_a_relative_folder_lies_under_outfeed_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    options = LocalOptions(type="local", name="local", path="acme/bi/")
    with LocalConnector(options, Credentials(), attempt="work.1") as connector:
        assert isinstance(next(iter(connector.deliver([outgoing("a/file", b"data")]))), Delivered)

    assert (tmp_path / "delivered/acme/bi/a/file").read_bytes() == b"data"
    assert options.location() == "local:acme/bi"


def test_what_dead_tries_left_is_removed(place: LocalPlace) -> None:
    # XX-04
    same, fresh, old = (
        place.folder / TEMPORARY_FOLDER / name for name in ("work.1~a", "other.1~b", "third.1~c")
    )
    for folder in (same, fresh, old):
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(b"part of a file")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))

    place.deliver(outgoing("file", b"data"), attempt="work.2")
    assert place.names() == {"file", f"{TEMPORARY_FOLDER}/other.1~b/0"}


def test_a_file_in_the_way_of_a_folder_hits_only_its_files(place: LocalPlace) -> None:
    place.folder.mkdir()
    (place.folder / "site").write_bytes(b"a file")
    results = place.deliver(outgoing("site/file", b"data"), outgoing("other/file", b"data"))
    assert isinstance(failure(results["site/file"]), TerminalError)
    assert place.names() == {"site", "other/file"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[LocalPlace]:
    """A folder on a file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    try:
        yield LocalPlace(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_terminal_and_publishes_nothing(small_disk: LocalPlace) -> None:
    with pytest.raises(TerminalError, match="disk or its quota is full"):
        small_disk.deliver(outgoing("large", content(5_000_000)))
    assert small_disk.names() == set()


def test_a_folder_that_cannot_be_made_names_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = LocalPlace(tmp_path / "file" / "below")
    with pytest.raises(TerminalError) as caught:
        place.deliver(outgoing("a", b"data"))
    assert str(tmp_path / "file") in str(caught.value)
    checks = {check.step: check.state for check in place.connector().preflight()}
    assert (checks["mkdir"], checks["write"]) == (CheckState.FAILED, CheckState.SKIPPED)


@pytest.mark.parametrize("below", ["file", "file/below", "folder"])
def test_a_preflight_names_the_file_where_a_folder_must_be(tmp_path: Path, below: str) -> None:
    # DX-088
    (tmp_path / "file").write_bytes(b"theirs")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / TEMPORARY_FOLDER).write_bytes(b"theirs")
    found = {check.step: check.message for check in LocalPlace(tmp_path / below).connector().preflight()}
    named = tmp_path / (f"folder/{TEMPORARY_FOLDER}" if below == "folder" else "file")
    assert f"{named} is a file; a folder must have this name" in found["mkdir"]
    assert "[operator acts: move the file away or rename it, or choose" in found["mkdir"]
    assert named.read_bytes() == b"theirs"
