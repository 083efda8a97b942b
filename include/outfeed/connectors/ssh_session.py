"""An open SFTP channel on which no request waits without an end, and what its errors mean for a delivery."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

#: Seconds in which at least one of the outstanding requests of a connection must be answered.
STALL_TIMEOUT = 120.0


class SshSession:
    """A connection with an SFTP channel, on which every request either progresses or fails.

    Attributes:
        client: asyncssh's SFTP client; await its calls through `ask` only.
        write_size: bytes per write request that the server takes.
    """

    def __init__(
        self, connection: asyncssh.SSHClientConnection, client: asyncssh.SFTPClient, location: str
    ) -> None:
        self.client = client
        self.location = location
        self.write_size = min(max(client.limits.max_write_len, 32 * 1024), 256 * 1024)
        self._connection = connection
        self._waiting = 0
        self._progress = time.monotonic()
        self._stalled = False
        self._watch = asyncio.create_task(self._watchdog())

    async def ask(self, request: Awaitable[T]) -> T:
        """Awaits one request; raises asyncssh's errors, among them ConnectionLost after `STALL_TIMEOUT`."""
        if self._waiting == 0:
            self._progress = time.monotonic()
        self._waiting += 1
        try:
            return await request
        finally:
            self._waiting -= 1
            self._progress = time.monotonic()

    async def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """`ask` for a request that may be cancelled before it is made."""
        return await self.ask(function(*arguments))

    async def _watchdog(self) -> None:
        while True:
            await asyncio.sleep(STALL_TIMEOUT / 24)
            if self._waiting and time.monotonic() - self._progress > STALL_TIMEOUT:
                self._stalled = True
                self._connection.abort()
                return

    def fault(self, error: Exception, doing: str) -> OutfeedError:
        """What an error of a request means for the delivery; `doing` completes 'could not …'."""
        if self._stalled:
            return TransientError(
                f"could not {doing}: the server has not answered for {STALL_TIMEOUT:.0f} s",
                where=self.location,
                remedy="retried; if it persists, ask the customer whether the server hangs",
            )
        return sftp_fault(error, doing, self.location)

    async def full_disk(self, folder: str) -> OutfeedError | None:
        """The error to raise if the file system of `folder` is full; SFTP itself has no word for it."""
        import asyncssh

        try:
            volume = await self.ask(self.client.statvfs(folder))
        except (asyncssh.Error, OSError):
            return None
        return None if volume.bavail * volume.frsize >= 1 << 20 else _disk_full(self.location)

    async def close(self) -> None:
        """Ends the connection, politely if the server still answers."""
        self._watch.cancel()
        self._connection.close()
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._connection.wait_closed(), 5)
            return
        self._connection.abort()


def sftp_fault(error: Exception, doing: str, location: str) -> OutfeedError:
    """What an SFTP error means: lost connections are transient, refusals are the customer's to solve."""
    import asyncssh

    if isinstance(error, asyncssh.SFTPPermissionDenied | asyncssh.SFTPWriteProtect):
        return TerminalError(
            f"could not {doing}: permission denied",
            where=location,
            action=Action.CUSTOMER,
            remedy="let the user list, create, write and rename files and folders there (DX-086)",
        )
    if isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
        return _disk_full(location)
    lost = asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection
    if isinstance(error, asyncssh.SFTPError) and not isinstance(error, lost):
        return TerminalError(
            f"could not {doing}: the server answers '{reason(error)}'",
            where=location,
            action=Action.CUSTOMER,
            remedy="see the server's log; a generic failure is often a full disk or quota",
        )
    return TransientError(
        f"could not {doing}: the connection was lost ({reason(error)})", where=location, remedy="retried"
    )


def _disk_full(location: str) -> TerminalError:
    return TerminalError(
        "the disk or the quota at the destination is full",
        where=location,
        action=Action.CUSTOMER,
        remedy="free space at the destination, then clear the task",
    )


def reason(error: Exception) -> str:
    """What a library says of its error, in a few words."""
    return str(getattr(error, "reason", "") or getattr(error, "strerror", "") or type(error).__name__)
