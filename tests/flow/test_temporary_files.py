"""Temporary files at servers with folders: whose they are, and who may remove them."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from outfeed.connectors.base import Delivered
from outfeed.connectors.transfer import TEMPORARY_FOLDER
from outfeed.errors import SupersededError, TransientError
from tests.conformance.contents import outgoing
from tests.conformance.places import FtpPlace, SftpPlace
from tests.servers.folders import empty_folder

pytestmark = pytest.mark.servers


@pytest.fixture(params=["sftp", "ftp"])
def place(request: pytest.FixtureRequest) -> SftpPlace | FtpPlace:
    """An empty base directory."""
    if request.param == "sftp":
        return SftpPlace(request.getfixturevalue("sshd"))
    return FtpPlace(request.getfixturevalue("ftp"))


def test_those_of_other_work_stay_until_they_are_old(place: SftpPlace | FtpPlace) -> None:
    user = place.server.user
    parent = empty_folder(place.folder / TEMPORARY_FOLDER, user)
    yesterday = time.time() - 25 * 3600
    for name, changed in (("other.1~aa", time.time()), ("another.1~bb", yesterday)):
        folder = empty_folder(parent / name, user)
        (folder / "0").write_bytes(b"part of a file")
        os.chown(folder / "0", user.pw_uid, user.pw_gid)
        for path in (folder / "0", folder):
            os.utime(path, (changed, changed))

    place.deliver(outgoing("file", b"data"))
    assert place.names() == {"file", f"{TEMPORARY_FOLDER}/other.1~aa/0"}


def test_an_older_try_that_lives_on_is_stopped_by_the_newer_one(place: SftpPlace | FtpPlace) -> None:
    # XX-04
    with place.connector("work.1") as older, place.connector("work.2") as newer:
        with pytest.raises(SupersededError):
            list(older.deliver([outgoing("file", b"from the older")]))
        assert isinstance(next(iter(newer.deliver([outgoing("file", b"from the newer")]))), Delivered)
    assert place.read("file") == b"from the newer"
    assert place.names() == {"file"}


def test_a_cleaner_at_the_destination_is_no_newer_try(place: SftpPlace | FtpPlace) -> None:
    with place.connector("work.1") as connector:
        shutil.rmtree(place.folder / TEMPORARY_FOLDER)
        with pytest.raises(TransientError, match="were removed while we were writing"):
            list(connector.deliver([outgoing("file", b"data")]))
