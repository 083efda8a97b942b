"""A TCP proxy that misbehaves on command: delay, cut, black hole.

`tcp_proxy` runs in a thread and takes commands; `delay_proxy` runs in a process of its own, so that it costs
a measured client none of its interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager

from tests.servers.process import free_ports, running_module, told
from tests.servers.threads import loop_thread

#: Bytes under way per direction and connection before the sender is paused.
_WINDOW = 8 << 20


class _Half(asyncio.Protocol):
    """One side of a proxied connection: what it receives goes to its peer after half a round trip."""

    def __init__(self, proxy: TcpProxy, upstream: bool) -> None:
        self.proxy = proxy
        self.upstream = upstream
        self.peer: _Half | None = None
        self.transport: asyncio.Transport | None = None
        self.under_way: deque[tuple[float, bytes]] = deque()
        self.under_way_bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False
        self.held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_WINDOW)
        self.proxy.halves.add(self)
        if not self.upstream:
            if self.proxy.limit is not None and self.proxy.connections >= self.proxy.limit:
                transport.abort()
                return
            self.proxy.connections += 1
            asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, peer = await loop.create_connection(
                lambda: _Half(self.proxy, upstream=True), "127.0.0.1", self.proxy.target
            )
        except OSError:
            self.abort()
            return
        self.peer, peer.peer = peer, self
        self._schedule()

    def data_received(self, data: bytes) -> None:
        if self.proxy.silent:
            return
        if self.upstream:
            self.proxy.server_bytes += len(data)
        elif not self.proxy.let_through(len(data)):
            self.proxy.abort_all()
            return
        due = asyncio.get_running_loop().time() + self.proxy.delay / 2
        self.under_way.append((due, data))
        self.under_way_bytes += len(data)
        if (self.held or self.under_way_bytes > _WINDOW) and self.transport is not None:
            self.transport.pause_reading()
        self._schedule()

    def _schedule(self) -> None:
        if self.timer is None and self.peer is not None and self.under_way:
            self.timer = asyncio.get_running_loop().call_at(self.under_way[0][0], self._forward)

    def _forward(self) -> None:
        self.timer = None
        assert self.peer is not None
        assert self.peer.transport is not None
        now = asyncio.get_running_loop().time()
        while self.under_way and self.under_way[0][0] <= now + 0.0005:
            _, data = self.under_way.popleft()
            self.under_way_bytes -= len(data)
            self.peer.transport.write(data)
        if self.under_way_bytes <= _WINDOW and not (self.held or self.ended) and self.transport is not None:
            self.transport.resume_reading()
        self._schedule()
        if self.ended and not self.under_way:
            self.peer.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.proxy.halves.discard(self)
        if self.peer is not None and self.peer.transport is not None and not self.under_way:
            self.peer.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TcpProxy:
    """A proxy on 127.0.0.1 and its faults.

    Attributes:
        port: where it listens.
        connections: how many it has let in.
        limit: how many it lets in at all; further ones are reset at once.
        client_bytes: how many clients have sent.
        server_bytes: how many the server has sent.
    """

    def __init__(self, target: int, delay: float) -> None:
        self.target = target
        self.delay = delay
        self.port = 0
        self.connections = 0
        self.limit: int | None = None
        self.client_bytes = 0
        self.server_bytes = 0
        self.silent = False
        self.halves: set[_Half] = set()
        self._remaining: int | None = None
        self._capacity: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def cut_after(self, client_bytes: int) -> None:
        """Aborts all connections once clients have sent so many more bytes; later ones work again."""
        self._remaining = client_bytes

    def cut(self) -> None:
        """Aborts all connections that are open now; later ones work again."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.abort_all)

    def hold_after(self, client_bytes: int) -> None:
        """Holds back all connections once clients have sent so many more bytes; later ones work."""
        self._capacity = self.client_bytes + client_bytes

    @property
    def holds(self) -> bool:
        """Whether connections are held back."""
        return any(half.held for half in list(self.halves))

    def release(self) -> None:
        """Lets held connections go on, without a loss."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._release_all)

    def _release_all(self) -> None:
        for half in list(self.halves):
            half.held = False
            if half.transport is not None:
                half.transport.resume_reading()

    def black_hole(self, on: bool = True) -> None:
        """From now on nothing comes through, but no connection ends."""
        self.silent = on

    def let_through(self, count: int) -> bool:
        """Counts what clients send; False exactly once, when the cut is due."""
        self.client_bytes += count
        if self._capacity is not None and self.client_bytes >= self._capacity:
            self._capacity = None
            for half in self.halves:
                half.held = not half.upstream
        if self._remaining is None:
            return True
        self._remaining -= count
        if self._remaining > 0:
            return True
        self._remaining = None
        return False

    def abort_all(self) -> None:
        """`cut`, from within the proxy's own loop."""
        self._capacity = None
        for half in list(self.halves):
            half.abort()

    async def serve(self, port: int) -> asyncio.Server:
        """Listens."""
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: _Half(self, upstream=False), "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        return server


@contextlib.contextmanager
def tcp_proxy(target: int, *, delay: float = 0.0) -> Iterator[TcpProxy]:
    """A proxy in front of port `target`; `delay` is the added round-trip time in seconds."""
    with loop_thread("tcp-proxy") as loop:
        proxy = TcpProxy(target, delay)
        (port,) = free_ports(1)
        server = asyncio.run_coroutine_threadsafe(proxy.serve(port), loop).result(10)

        async def stop() -> None:
            server.close()
            proxy.abort_all()

        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(stop(), loop).result(10)


def delay_proxy(target: int, delay: float) -> AbstractContextManager[int]:
    """A proxy in its own process that adds `delay` seconds to each round trip; yields its port."""
    return running_module("tests.servers.proxy", target=target, delay=delay)


def main() -> None:
    """Serves until killed."""
    arguments = told(target=int, delay=float)

    async def serve() -> None:
        server = await TcpProxy(arguments.target, arguments.delay).serve(arguments.port)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
