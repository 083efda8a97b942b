"""A TCP proxy that is armed anew for each try: cuts, lost answers, silence, a closed port, another server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

from tests.hostile.armed import Armed
from tests.hostile.story import Fault

#: Seconds that a server still gets to do what was asked, when nobody will hear its answer.
DEAF = 0.15

#: Seconds within which what is under way ends, or else it hangs.
SETTLED = 30.0

_BLOCK = 1 << 16


def reset(sock: socket.socket) -> None:
    """Ends a connection as a crashed machine would."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        # Wakes a thread that is blocked in recv; closing alone does not.
        sock.shutdown(socket.SHUT_RD)
    sock.close()


def until_gone(sock: socket.socket, seconds: float = 8) -> None:
    """Waits until the other side has given up."""
    sock.settimeout(seconds)
    with contextlib.suppress(OSError):
        while sock.recv(_BLOCK):
            pass


class Listener:
    """A port of 127.0.0.1 that can be closed and opened again; each connection gets a thread."""

    def __init__(self, armed: Armed, port: int = 0) -> None:
        self.armed = armed
        self.port = port
        self._listening: socket.socket | None = None
        self._busy = 0
        self._rest = threading.Condition()
        self.up()

    def up(self) -> None:
        """Listens, on the same port each time."""
        if self._listening is not None:
            return
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.listen(128)
        self.port = sock.getsockname()[1]
        self._listening = sock
        threading.Thread(target=self._accept, args=(sock,), daemon=True).start()

    def down(self) -> None:
        """Refuses connections."""
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def set_down(self, down: bool) -> None:
        """Closes or opens the port."""
        if down:
            self.down()
        else:
            self.up()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Something is under way meanwhile."""
        with self._rest:
            self._busy += 1
        try:
            yield
        finally:
            with self._rest:
                self._busy -= 1
                self._rest.notify_all()

    def settle(self) -> None:
        """Waits until nothing is under way: what a client that is gone has asked for is done or lost."""
        with self._rest:
            self._rest.wait_for(lambda: not self._busy, SETTLED)

    def _accept(self, sock: socket.socket) -> None:
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.serve(client)
        client.close()

    def serve(self, client: socket.socket) -> None:
        """Serves one connection."""
        raise NotImplementedError


class TcpWire(Listener):
    """In front of a server whose protocol it does not know.

    Attributes:
        target: port of the server; `other` is that of one with another host key.
    """

    def __init__(self, armed: Armed, target: int, other: int = 0) -> None:
        self.target = target
        self.other = other
        self._sent = 0
        self._gone = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(armed)

    def rearm(self) -> None:
        """Begins to count the bytes of a new try."""
        self._sent, self._gone = 0, False

    def serve(self, client: socket.socket) -> None:
        port = self.other if self.other and self.armed.whole("host key") else self.target
        if self._gone:
            reset(client)
            return
        with self.working():
            self._pass_on(client, port)

    def _pass_on(self, client: socket.socket, port: int) -> None:
        server = socket.create_connection(("127.0.0.1", port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open |= {client, server}
        silent = threading.Event()
        back = threading.Thread(target=self._back, args=(server, client, silent), daemon=True)
        back.start()
        try:
            self._forth(client, server, silent)
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(10)
            server.close()
            self._open -= {client, server}

    def _forth(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        while block := client.recv(_BLOCK):
            fault, keep = self._due(len(block))
            if fault is None:
                server.sendall(block)
                continue
            if fault.kind == "slow":
                time.sleep(0.05)
                server.sendall(block)
                continue
            server.sendall(block[:keep])
            if fault.kind == "stall":
                silent.set()
                until_gone(client)
                return
            if fault.kind == "deaf":
                silent.set()
                server.sendall(block[keep:])
                self._hear_out(client, server)
            self._gone = self._gone or fault.kind == "gone"
            for sock in list(self._open):
                reset(sock)
            return

    @staticmethod
    def _hear_out(client: socket.socket, server: socket.socket) -> None:
        client.settimeout(DEAF)
        end = time.monotonic() + DEAF
        with contextlib.suppress(OSError):
            while time.monotonic() < end and (block := client.recv(_BLOCK)):
                server.sendall(block)

    def _due(self, count: int) -> tuple[Fault | None, int]:
        with self._lock:
            before, self._sent = self._sent, self._sent + count
        for fault in self.armed.of_bytes():
            if fault.after < before + count and self.armed.spent(fault):
                return fault, max(0, fault.after - before)
        return None, 0

    @staticmethod
    def _back(server: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        try:
            while block := server.recv(_BLOCK):
                if not silent.is_set():
                    client.sendall(block)
            if not silent.is_set():
                client.shutdown(socket.SHUT_WR)
        except OSError:
            # A server that resets is heard by the client at once.
            if not silent.is_set():
                reset(client)


@contextlib.contextmanager
def closing(wire: Listener) -> Iterator[Listener]:
    """Closes the port afterwards."""
    try:
        yield wire
    finally:
        wire.down()
