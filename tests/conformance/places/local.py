"""A folder of this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pytest

from outfeed.connectors import LocalOptions
from outfeed.connectors.base import Check, Credentials, Outgoing
from tests.conformance.contents import outgoing
from tests.conformance.places.base import Ability, FolderPlace, Place, Right
from tests.servers import versions
from tests.servers.process import MissingServerError, scratch
from tests.servers.small_disk import small_disk


class LocalPlace(FolderPlace):
    """A folder; what permissions refuse is tried as user nobody, because they refuse root nothing."""

    fixture = "tmp_path"
    evidence = "the real thing"
    verified = "size"
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {}
    nothing_to_probe = "what the operating system refuses is an error: nothing is done in another way"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._account: pwd.struct_passwd | None = None
        self._set_options()

    def _set_options(self) -> None:
        self.options = LocalOptions(type="local", name="local", path=str(self.folder))
        self.credentials = Credentials()

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        folder: Path = request.getfixturevalue(cls.fixture) / "delivered"
        folder.mkdir()
        return cls(folder)

    def product(self) -> str:
        return versions.file_system(self.folder)

    def deliver(self, *files: Outgoing, attempt: str = "work.1", **changes: Any) -> dict[str, Any]:
        with acting_as(self._account):
            return super().deliver(*files, attempt=attempt, **changes)

    def preflight(self) -> list[Check]:
        with acting_as(self._account):
            return super().preflight()

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        # User nobody may not enter pytest's own folders, nor import what was not imported yet.
        self.deliver(outgoing("warm-up", b""))
        with scratch("local", root_owned=True) as folder:
            place = type(self)(folder / "delivered")
            place.folder.mkdir()
            if right == "rename":
                (place.folder / "site").mkdir()
                with small_disk(place.folder / "site", 4):
                    yield place, "a folder below the base that is another file system: no links into it"
                return
            place._account = pwd.getpwnam("nobody")
            how = place._others_files_are_safe()
            if right == "mkdir":
                place.folder.chmod(0o555)
                how = "a folder that our user may not write"
            elif right == "delete":
                how = "leftovers of another user in a folder with the sticky bit"
                place._leave(place._account)
            yield place, how

    def _leave(self, account: pwd.struct_passwd) -> None:
        """What an older try of the same work left, which our user may not remove."""
        leftover = self.folder / ".outfeed-tmp" / "work.0~dead"
        leftover.mkdir(parents=True)
        (leftover / "0").write_bytes(b"part of a file")
        leftover.parent.chmod(0o1777)


@contextlib.contextmanager
def acting_as(account: pwd.struct_passwd | None) -> Iterator[None]:
    """What this process does to files meanwhile, an account does."""
    if account is None:
        yield
        return
    if os.geteuid() != 0:
        raise MissingServerError("refused permissions are tried as another user: run as root (sudo)")
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
