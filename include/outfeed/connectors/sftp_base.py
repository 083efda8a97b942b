"""The base directory of an SFTP destination: folders, this try's temporary names, what rename does."""

from __future__ import annotations

import asyncio
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from outfeed.connectors.base import Capabilities
from outfeed.connectors.remote_base import RemoteBase
from outfeed.connectors.ssh_session import SshSession
from outfeed.connectors.transfer import TEMPORARY_FOLDER, FileFault, in_the_way
from outfeed.errors import Action, OutfeedError, TerminalError

if TYPE_CHECKING:
    import asyncssh

#: Names of files that a newer try of the same work takes over begin so.
UNFINISHED = "unfinished-"

#: Requests that are sent together when a folder is emptied.
_BATCH = 64

#: Seconds before each look whether our folder is empty, in the end.
_LOOKS = (0.0, 0.2, 1.0)

#: How often other tries may remove the folder of all tries while this one makes its own.
_REMOVED_MEANWHILE = 4


class SftpBase(RemoteBase):
    """Guarantees that nothing outside the base directory is touched (DX-074), for one try.

    Args:
        base: base directory as configured.
        attempt: token of the try.
    """

    def __init__(self, base: str, attempt: str) -> None:
        super().__init__(base, attempt)
        self._folders: dict[str, asyncio.Task[None]] = {}
        self.rename: Literal["refuses", "overwrites", "none"] = "refuses"

    @property
    def capabilities(self) -> Capabilities:
        """What this server turned out to be able to."""
        atomic: Literal["rename", "none"] = "none" if self.rename == "none" else "rename"
        return Capabilities(atomic=atomic, conditional_create=self.rename != "overwrites", checksum=None)

    # -- before and after the files

    async def prepare(self, session: SshSession) -> None:
        """Makes this try's folder, removes what dead tries left, and finds out what `rename` does here.

        Large files that an older try of the same work began are kept: they move into this try's folder.
        """
        import asyncssh

        try:
            await self.check(session)
            await self.make_temporary(session)
            await self._remove_leftovers(session)
            self.rename = await self.probe_rename(session)
        except (asyncssh.Error, OSError) as error:
            raise session.fault(error, f"use {self.temporary()}") from error

    async def check(self, session: SshSession) -> None:
        """Raises unless the base is a folder; it is the customer's to create (DX-074)."""
        base = PurePosixPath(self.path())
        attributes = await self.attributes(session, str(base))
        if attributes is not None and is_folder(attributes):
            return
        taken = base if attributes is not None else await self._file_above(session, base)
        if taken is not None:
            raise in_the_way(str(taken), session.location)
        raise TerminalError(
            f"the base directory {base} does not exist",
            where=session.location,
            action=Action.CUSTOMER,
            remedy="create it, or correct sftp_remote_path",
        )

    async def _file_above(self, session: SshSession, base: PurePosixPath) -> PurePosixPath | None:
        """The file that has the name of one of the folders on the way to the base, as far as we may look."""
        for folder in base.parents:
            try:
                attributes = await self.attributes(session, str(folder))
            except TerminalError:
                break
            if attributes is not None:
                return None if is_folder(attributes) else folder
        return None

    async def make_temporary(self, session: SshSession) -> None:
        """Makes this try's temporary folder."""
        for more in range(_REMOVED_MEANWHILE, -1, -1):
            try:
                await self._make_folder(session, TEMPORARY_FOLDER)
                await self._make_folder(session, f"{TEMPORARY_FOLDER}/{self._own}")
            except FileFault as fault:
                raise fault.error from fault
            except TerminalError:
                # Another try that ended may have removed the folder of all tries in between.
                if not more or await self.attributes(session, self.path(TEMPORARY_FOLDER)) is not None:
                    raise
            else:
                return

    async def probe_rename(self, session: SshSession) -> Literal["refuses", "overwrites", "none"]:
        """Whether the server can rename, and whether it does so onto a name that exists."""
        first, second, third = (self.temporary(f"probe {name}") for name in "abc")
        try:
            await asyncio.gather(self._touch(session, first), self._touch(session, second))
            if await self._renames(session, first, second):
                return "overwrites"
            if await self._renames(session, first, third):
                return "refuses"
            if await self.attributes(session, first) is None:
                # Taken for a server that can't rename, files would grow under their final names.
                raise await self.fenced(session)
            return "none"
        finally:
            await self.remove(session, first, second, third)

    async def _renames(self, session: SshSession, old: str, new: str) -> bool:
        import asyncssh

        try:
            await session.ask(session.client.rename(old, new))
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError:
            return False
        return True

    async def _touch(self, session: SshSession, path: str) -> None:
        handle = await self.create(session, path)
        await session.ask(handle.close())

    async def _remove_leftovers(self, session: SshSession) -> None:
        """Removes dead tries' folders, their age by the server's own clock."""
        own = await self.attributes(session, self.temporary())
        now = (own and own.mtime) or 0
        for entry in await self._entries(session, self.path(TEMPORARY_FOLDER)):
            name = str(entry.filename)
            age = now - (entry.attrs.mtime or now)
            if self._is_dead(name, age):
                folder = self.path(f"{TEMPORARY_FOLDER}/{name}")
                if self._is_dead(name, 0):
                    await self._take_over(session, folder)
                await self._remove_tree(session, folder)

    async def _take_over(self, session: SshSession, folder: str) -> None:
        """Moves what may be continued; what can't be moved is removed with its folder."""
        for entry in await self._entries(session, folder):
            name = str(entry.filename)
            if name.startswith(UNFINISHED):
                await self._renames(session, f"{folder}/{name}", self.temporary(name))

    async def clean_up(self, session: SshSession, *, keep_unfinished: bool = False) -> bool:
        """Removes this try's temporary names, and the folder of all tries if it is empty.

        Args:
            keep_unfinished: whether large files that a later try may continue stay.

        Returns:
            Whether nothing of this try is left.
        """
        import asyncssh

        try:
            await self._remove_own(session, keep=UNFINISHED if keep_unfinished else None)
            await session.ask(session.client.rmdir(self.path(TEMPORARY_FOLDER)))
        except (asyncssh.SFTPFailure, asyncssh.SFTPDirNotEmpty):
            # Another try's folder is in there.
            return await self.attributes(session, self.temporary()) is None
        except (OutfeedError, asyncssh.Error, OSError):
            # The connection is gone; the next try removes what is left.
            return False
        return True

    async def _remove_own(self, session: SshSession, *, keep: str | None) -> None:
        """Removes our folder.

        A file whose delivery was stopped while another connection asked for it may be made after we looked.
        """
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            if not await self._remove_tree(session, self.temporary(), keep=keep):
                return

    # -- folders and names

    async def create(self, session: SshSession, path: str) -> asyncssh.SFTPClientFile[bytes]:
        """Creates a file that must not exist, for writing."""
        import asyncssh

        try:
            return await session.ask(session.client.open(path, "xb", encoding=None, block_size=0))
        except asyncssh.SFTPNoSuchFile as error:
            raise await self.fenced(session) from error
        except (asyncssh.Error, OSError) as error:
            raise session.fault(error, f"create a file in {path.rpartition('/')[0]}") from error

    async def fenced(self, session: SshSession) -> OutfeedError:
        """The error when our temporary files are gone: a newer try removed them, or the customer did."""
        entries = await self._entries(session, self.path(TEMPORARY_FOLDER))
        return self._removed([str(entry.filename) for entry in entries], session.location)

    async def folder(self, session: SshSession, relative: str) -> None:
        """Makes a folder below the base and its parents, once per delivery."""
        if not relative:
            return
        task = self._folders.get(relative)
        if task is None:
            task = self._folders[relative] = asyncio.create_task(self._make_folders(session, relative))
        # Several files wait for it: that one of them is cancelled must not end it.
        await asyncio.shield(task)

    async def _make_folders(self, session: SshSession, relative: str) -> None:
        await self.folder(session, relative.rpartition("/")[0])
        await self._make_folder(session, relative)

    async def _make_folder(self, session: SshSession, relative: str) -> None:
        import asyncssh

        path = self.path(relative)
        try:
            await session.ask(session.client.mkdir(path))
        except (asyncssh.Error, OSError) as error:
            existing = await self.attributes(session, path)
            if existing is not None and is_folder(existing):
                return
            if existing is not None:
                raise FileFault(in_the_way(path, session.location)) from error
            raise session.fault(error, f"make the folder {path}") from error

    async def attributes(self, session: SshSession, path: str) -> asyncssh.SFTPAttrs | None:
        """What the server says of a path, or None if there is nothing."""
        import asyncssh

        try:
            return await session.ask(session.client.stat(path))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        except (asyncssh.Error, OSError) as error:
            raise session.fault(error, f"look at {path}") from error

    async def names(self, session: SshSession) -> int:
        """How many entries the base directory has."""
        return len(await self._entries(session, self.path()))

    async def _entries(self, session: SshSession, folder: str) -> list[asyncssh.SFTPName]:
        import asyncssh

        try:
            entries = await session.ask(session.client.readdir(folder))
        except asyncssh.SFTPNoSuchFile:
            return []
        except (asyncssh.Error, OSError) as error:
            raise session.fault(error, f"list {folder}") from error
        return [entry for entry in entries if entry.filename not in (".", "..")]

    async def _remove_tree(self, session: SshSession, folder: str, *, keep: str | None = None) -> bool:
        """Removes a folder with its files, but for those whose names begin with `keep`.

        Returns:
            Whether other files are in it again: somebody is still writing into it.
        """
        import asyncssh

        paths = await self._unwanted(session, folder, keep)
        for start in range(0, len(paths), _BATCH):
            await self.remove(session, *paths[start : start + _BATCH])
        try:
            await session.ask(session.client.rmdir(folder))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied):
            return bool(await self._unwanted(session, folder, keep))
        return False

    async def _unwanted(self, session: SshSession, folder: str, keep: str | None) -> list[str]:
        names = [str(entry.filename) for entry in await self._entries(session, folder)]
        return [f"{folder}/{name}" for name in names if keep is None or not name.startswith(keep)]

    async def discard(self, session: SshSession, handle: asyncssh.SFTPClientFile[bytes], *paths: str) -> None:
        """Closes a file and removes paths, as far as possible."""
        await asyncio.gather(
            session.ask(handle.close()), self.remove(session, *paths), return_exceptions=True
        )

    async def remove(self, session: SshSession, *paths: str) -> None:
        """Removes files; what can't be removed now is met again by the next try."""
        removals: list[Any] = [session.ask(session.client.remove(path)) for path in paths]
        await asyncio.gather(*removals, return_exceptions=True)


def is_folder(attributes: asyncssh.SFTPAttrs) -> bool:
    """Whether the attributes are those of a folder."""
    return stat.S_ISDIR(attributes.permissions or 0)
