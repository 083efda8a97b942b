"""Several SSH connections to one server, driven from synchronous code."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from outfeed.connectors.ssh_session import SshSession
from outfeed.errors import OutfeedError

T = TypeVar("T")

log = logging.getLogger(__name__)


class LoopThread:
    """An event loop in a thread of its own, so that a blocked caller does not stop transfers.

    Args:
        blocking: how many blocking reads of sources may run at once.
    """

    def __init__(self, blocking: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(blocking, thread_name_prefix="outfeed-read"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="outfeed-sftp", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the loop and waits for it; an interrupted wait cancels it."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the loop and its thread."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclasses.dataclass
class _Slot:
    """Room for one connection, opened when it is needed."""

    session: asyncio.Task[SshSession] | None = None
    load: int = 0
    usable: bool = True


class _RefusedError(Exception):
    """An additional connection could not be opened."""

    def __init__(self, error: OutfeedError) -> None:
        self.error = error
        super().__init__(str(error))


class SessionPool:
    """Up to `connections` sessions; one is opened only when those before it are full.

    The first must succeed. If the server refuses another, the delivery goes on with fewer: a limit on
    connections is the customer's right.
    """

    def __init__(
        self, open_session: Callable[[], Awaitable[SshSession]], connections: int, per_connection: int
    ) -> None:
        self._open_session = open_session
        self._per_connection = per_connection
        self._slots = [_Slot() for _ in range(connections)]

    async def first(self) -> SshSession:
        """The first session; raises the OutfeedError of a connection that fails."""
        return await self._session(self._slots[0])

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[SshSession]:
        """A session for one file."""
        while True:
            slot = self._free_slot()
            slot.load += 1
            try:
                yield await self._session(slot)
                return
            except _RefusedError as refused:
                self._go_on_with_fewer(slot, refused.error)
            finally:
                slot.load -= 1

    def _go_on_with_fewer(self, slot: _Slot, error: OutfeedError) -> None:
        if slot.usable:
            log.warning("an additional connection was refused, going on with fewer: %s", error)
        for other in self._slots:
            other.usable = other.usable and other is not slot and other.session is not None

    def _free_slot(self) -> _Slot:
        usable = [slot for slot in self._slots if slot.usable]
        free = [slot for slot in usable if slot.load < self._per_connection]
        return free[0] if free else min(usable, key=lambda slot: slot.load)

    async def _session(self, slot: _Slot) -> SshSession:
        if slot.session is None:
            slot.session = asyncio.create_task(self._opened())
        try:
            return await asyncio.shield(slot.session)
        except OutfeedError as error:
            if slot is self._slots[0]:
                raise
            raise _RefusedError(error) from error

    async def _opened(self) -> SshSession:
        return await self._open_session()

    async def close(self) -> None:
        """Closes all sessions, whatever state they are in."""
        tasks = [slot.session for slot in self._slots if slot.session is not None]
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, SshSession):
                await result.close()
