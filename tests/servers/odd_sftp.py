"""An SFTP server that speaks the protocol well and breaks its promises: what OpenSSH can't be made to do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tests.servers.process import free_ports, scratch
from tests.servers.sshd import public_line
from tests.servers.threads import loop_thread

#: `overwrites`: rename replaces what is there. `loses`: says yes to writes beyond the first 100,000 bytes and
#: drops them. `quota`: fails on close. `colon`: refuses names with a colon. `flips`: stores the first byte
#: changed. `hangs`: never answers a rename. `late`: takes its time to make a file of that
#: name, and more to remove a folder.
Fault = Literal["overwrites", "loses", "quota", "colon", "flips", "hangs", "late"]


@dataclasses.dataclass(frozen=True)
class OddServer:
    """A running server for one user; its root is `folder`."""

    host: str
    port: int
    username: str
    base: str
    folder: Path
    host_public_key: str
    private_key: str


@contextlib.contextmanager
def odd_sftp_server(fault: Fault) -> Iterator[OddServer]:
    """A server with one fault, in a thread."""
    import asyncssh

    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (port,) = free_ports(1)
    with scratch("odd-sftp") as folder, loop_thread("odd-sftp") as loop:
        (folder / "root" / "upload").mkdir(parents=True)
        keys = folder / "authorized_keys"
        keys.write_bytes(user_key.export_public_key())
        kind = _late_class() if fault == "late" else _server_class(fault)
        listening = asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[host_key],
            authorized_client_keys=str(keys),
            sftp_factory=lambda channel: kind(channel, chroot=str(folder / "root").encode()),
        )
        acceptor = asyncio.run_coroutine_threadsafe(_awaited(listening), loop).result(10)
        try:
            yield OddServer(
                host="127.0.0.1",
                port=port,
                username="odd",
                base="/upload",
                folder=folder / "root" / "upload",
                host_public_key=public_line(host_key),
                private_key=user_key.export_private_key().decode(),
            )
        finally:
            loop.call_soon_threadsafe(acceptor.close)


async def _awaited(listening: Any) -> Any:
    return await listening


def _server_class(fault: Fault) -> Any:
    import asyncssh

    class OddSftp(asyncssh.SFTPServer):
        async def rename(self, oldpath: bytes, newpath: bytes) -> None:
            if fault == "hangs":
                await asyncio.sleep(3600)
            if fault == "colon" and b":" in newpath:
                raise asyncssh.SFTPFailure("bad name")
            if fault == "overwrites":
                Path(os.fsdecode(self.map_path(oldpath))).replace(os.fsdecode(self.map_path(newpath)))
            else:
                super().rename(oldpath, newpath)

        def write(self, file_obj: Any, offset: int, data: bytes) -> int:
            if fault == "loses" and offset + len(data) > 100_000:
                return len(data)
            if fault == "flips" and offset == 0:
                data = bytes([data[0] ^ 1]) + data[1:]
            written: int = super().write(file_obj, offset, data)
            return written

        def close(self, file_obj: Any) -> None:
            super().close(file_obj)
            if fault == "quota":
                raise asyncssh.SFTPFailure("disk quota exceeded")

    return OddSftp


def _late_class() -> Any:
    import asyncssh

    class LateSftp(asyncssh.SFTPServer):
        async def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            if path.endswith(b"/late"):
                await asyncio.sleep(1)
            return super().open(path, pflags, attrs)

        async def rmdir(self, path: bytes) -> None:
            await asyncio.sleep(2)
            super().rmdir(path)

    return LateSftp
