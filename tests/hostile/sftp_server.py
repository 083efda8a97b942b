"""An SFTP server every operation of which can fail, be lost after it was done, or lie."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import asyncssh

from tests.hostile.armed import Armed
from tests.servers.process import free_ports, scratch
from tests.servers.sshd import public_line

_OPS = ("open", "close", "write", "stat", "rename", "mkdir", "fsync", "remove")


@dataclasses.dataclass
class SftpServer:
    """A running server for one user.

    Attributes:
        port: shows the pinned host key; `other_port` another one.
        folder: what the user sees as `/`.
        overwrites: whether rename replaces what is there.
    """

    port: int
    other_port: int
    folder: Path
    host_public_key: str
    private_key: str
    overwrites: bool = False


@contextlib.contextmanager
def sftp_server(armed: Armed) -> Iterator[SftpServer]:
    """A server in a thread."""
    host_key, other_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    port, other_port = free_ports(2)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="hostile-sftp", daemon=True)
    thread.start()
    with scratch("hostile-sftp") as folder:
        keys = folder / "authorized_keys"
        keys.write_bytes(user_key.export_public_key())
        root = folder / "root"
        root.mkdir()
        server = SftpServer(
            port, other_port, root, public_line(host_key), user_key.export_private_key().decode()
        )
        open_now: set[Any] = set()
        kind = type("Sftp", (HostileSftp,), {"armed": armed, "server": server})

        async def listen(port: int, key: Any) -> Any:
            return await asyncssh.listen(
                "127.0.0.1",
                port,
                server_host_keys=[key],
                server_factory=_login_class(armed, user_key, open_now),
                sftp_factory=lambda channel: kind(channel, chroot=str(root).encode()),
            )

        acceptors = [
            asyncio.run_coroutine_threadsafe(listen(*pair), loop).result(10)
            for pair in ((port, host_key), (other_port, other_key))
        ]
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(_closed(acceptors, open_now), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


async def _closed(acceptors: list[Any], connections: set[Any]) -> None:
    """Ends every connection, and waits until nothing that belongs to one goes on."""
    for acceptor in acceptors:
        acceptor.close()
    for connection in list(connections):
        connection.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _login_class(armed: Armed, user_key: Any, open_now: set[Any]) -> Any:
    class Login(asyncssh.SSHServer):  # type: ignore[misc]
        def connection_made(self, connection: Any) -> None:
            self._connection = connection
            open_now.add(connection)

        def connection_lost(self, error: Exception | None) -> None:
            open_now.discard(self._connection)

        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: Any) -> bool:
            if armed.whole("revoked"):
                armed.note("revoked at login")
                return False
            return bool(key == user_key.convert_to_public())

    return Login


class HostileSftp(asyncssh.SFTPServer):  # type: ignore[misc]
    armed: ClassVar[Armed]
    server: ClassVar[SftpServer]

    async def _hostile(self, op: str, *arguments: Any) -> Any:
        names = [os.fsdecode(part) for part in arguments if isinstance(part, bytes)]
        what = " ".join(names)[:120] if op != "write" else ""
        fault = self.armed.take(op, self._kinds(op, names), what)
        if fault is None and op == "rename" and names[1].endswith("/_SUCCESS"):
            fault = self.armed.take("marker", what=what)
        if fault is None:
            return await self._really(op, *arguments)
        if fault.kind == "short write":
            # Unless it was the file's last, the size does not show it: what nobody wrote reads as zeros.
            self.armed.flipped += int.from_bytes(arguments[2]).bit_count()
            return len(arguments[2])
        if fault.kind == "race":
            self.armed.take_name(names[1])
        elif fault.kind == "flip":
            arguments = _flipped(self.armed, *arguments)
        else:
            self._before(fault.kind)
        result = await self._really(op, *arguments)
        return await self._after(fault.kind, result, *arguments)

    @staticmethod
    def _kinds(op: str, names: list[str]) -> tuple[str, ...]:
        """What may happen; none means anything. Sizes are wrong only of what was just written aside."""
        if op != "stat":
            return ()
        aside = ".outfeed-tmp/" in names[0] and names[0].rpartition("/")[2].isdigit()
        return ("lost", "cut", "mute", *(["wrong size"] if aside else []))

    def _before(self, kind: str) -> None:
        if kind == "cut":
            self._abort()
        if kind == "full":
            raise asyncssh.SFTPFailure("no space left")
        if kind == "denied":
            raise asyncssh.SFTPPermissionDenied("permission denied")

    async def _after(self, kind: str, result: Any, *arguments: Any) -> Any:
        if kind == "lost":
            self._abort()
        elif kind == "mute":
            await asyncio.sleep(3600)
        elif kind == "quota":
            _forget(arguments[0].name)
            raise asyncssh.SFTPFailure("quota exceeded")
        elif kind == "wrong size":
            result = asyncssh.SFTPAttrs.from_local(result)
            result.size += 7
        return result

    async def _really(self, op: str, *arguments: Any) -> Any:
        if op == "rename" and self.server.overwrites:
            old, new = (Path(os.fsdecode(self.map_path(path))) for path in arguments)
            if new.is_dir():
                raise asyncssh.SFTPFailure("a folder")
            old.replace(new)
            return None
        result = getattr(super(), op)(*arguments)
        return await result if inspect.isawaitable(result) else result

    def _abort(self) -> None:
        self.connection.abort()
        raise asyncssh.SFTPConnectionLost("hostile")

    async def scandir(self, path: bytes) -> Any:
        fault = self.armed.take("scandir", what=os.fsdecode(path))
        async for entry in super().scandir(path):
            yield entry
        if fault is not None:
            self._abort()


def _overridden(op: str) -> Any:
    async def method(self: Any, *arguments: Any) -> Any:
        return await self._hostile(op, *arguments)

    return method


def _flipped(armed: Armed, file: Any, offset: int, data: bytes) -> tuple[Any, int, bytes]:
    """The arguments of a write, one bit changed."""
    armed.flipped += 1
    return file, offset, bytes([data[0] ^ 4]) + data[1:]


def _forget(path: str | bytes) -> None:
    """What a full disk does when data is written late: the size is there, half of the bytes are not."""
    file = Path(os.fsdecode(path))
    size = file.stat().st_size
    content = file.read_bytes()[: size // 2]
    file.write_bytes(content + bytes(size - len(content)))


for _op in _OPS:
    setattr(HostileSftp, _op, _overridden(_op))
