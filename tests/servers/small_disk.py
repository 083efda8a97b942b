"""A file system that is soon full, and that can be given more room."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import MissingServerError


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mounts a file system of so many MB on a folder, with the folder's owner; needs root."""
    if os.geteuid() != 0:
        raise MissingServerError("a small file system is mounted as root: use sudo")
    owner = folder.stat()
    options = f"size={megabytes}m,uid={owner.st_uid},gid={owner.st_gid},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def own_disk(folder: Path, megabytes: int | None) -> Iterator[Path | None]:
    """A new folder that is a `small_disk`; none at all where no size is asked for."""
    if megabytes is None:
        yield None
        return
    folder.mkdir()
    with small_disk(folder, megabytes):
        yield folder


@dataclasses.dataclass(frozen=True)
class OnDisk:
    """A server whose data may lie on a small disk of their own."""

    disk: Path | None = dataclasses.field(default=None, kw_only=True)

    def give_room(self) -> None:
        """Makes the small disk larger."""
        assert self.disk is not None
        give_room(self.disk, 400)


def give_room(folder: Path, megabytes: int) -> None:
    """Makes a `small_disk` larger."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)
