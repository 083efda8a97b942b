"""An FTP server (pyftpdlib) that lacks commands, rights or honesty: what vsftpd can't be made to do."""

# ruff: noqa: N802 - pyftpdlib names the methods by their commands

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from tests.servers.process import free_ports, scratch

#: All that pyftpdlib lets a user do: enter, list, read, append, delete, rename, make folders, store.
ALL_RIGHTS = "elradfmw"

#: `loses`: says yes to what comes after the first 100,000 bytes and drops it. `flips`: stores the first byte
#: changed. `quota`: is full after 100,000 bytes. `breaks`: ends both connections after 100,000 bytes, from
#: the second login on. `colon`: refuses names with a colon. `hangs`: never answers a rename.
#: `renames-silently`, `refuses-silently`: ends the connection instead of answering a rename, done or not.
#: `blind`: SIZE finds nothing. `busy`: lets in one connection and refuses others with 530. `latin-1`: has
#: messages in Latin-1. `xsha256`, `hash`: computes digests. `lies`: computes wrong ones, except of small
#: files. `no-data`: names a passive port where nothing listens. `talks`: repeats a wrong password.
Fault = Literal[
    "loses",
    "flips",
    "quota",
    "breaks",
    "colon",
    "hangs",
    "renames-silently",
    "refuses-silently",
    "blind",
    "busy",
    "latin-1",
    "xsha256",
    "hash",
    "lies",
    "no-data",
    "talks",
]


@dataclasses.dataclass
class OddFtpServer:
    """A running server for one user; its root is `folder`."""

    host: str
    port: int
    username: str
    password: str
    folder: Path
    logins: int = 0

    def make_base(self, name: str) -> tuple[str, Path]:
        """An empty base directory."""
        folder = self.folder / name
        folder.mkdir()
        return f"/{name}", folder


@contextlib.contextmanager
def odd_ftp_server(
    *faults: Fault, rights: str = ALL_RIGHTS, without: tuple[str, ...] = (), per_address: int = 0
) -> Iterator[OddFtpServer]:
    """A server in a thread.

    Args:
        rights: what the user may do, in pyftpdlib's letters.
        without: commands that the server does not have.
        per_address: how many connections it allows from one address; further ones get 421.
    """
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    (port,) = free_ports(1)
    with scratch("odd-ftp") as root:
        odd = OddFtpServer("127.0.0.1", port, "odd", secrets.token_urlsafe(12), root)
        authorizer = DummyAuthorizer()
        authorizer.add_user(odd.username, odd.password, str(root), perm=rights)
        handler = type(
            "Handler", (_OddHandler,), {"odd": odd, "faults": frozenset(faults), "without": without}
        )
        handler.authorizer = authorizer
        server = FTPServer(("127.0.0.1", port), handler, ioloop=IOLoop())
        server.max_cons_per_ip = per_address
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, stop), name="odd-ftp", daemon=True)
        thread.start()
        try:
            yield odd
        finally:
            stop.set()
            thread.join(10)


def _serve(server: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
    server.close_all()


class _OddFile:
    """A file that does not keep what it is given."""

    def __init__(self, real: Any, faults: frozenset[str]) -> None:
        self._real = real
        self._faults = faults
        self._count = 0

    def write(self, data: bytes) -> None:
        if "flips" in self._faults and self._count == 0 and len(data) > 100:
            data = bytes([data[0] ^ 1]) + data[1:]
        if "loses" in self._faults:
            data = data[: max(0, 100_000 - self._count)]
        self._count += len(data)
        self._real.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _OddFs(AbstractedFS):
    def open(self, filename: str, mode: str) -> Any:
        real = super().open(filename, mode)
        return _OddFile(real, self.cmd_channel.faults) if "w" in mode else real


class _OddData(DTPHandler):
    def handle_read(self) -> None:
        super().handle_read()
        if self.tot_bytes_received <= 100_000 or self._closed:
            return
        control = self.cmd_channel
        if "quota" in control.faults:
            self._resp = ("552 Requested file action aborted: quota.", logging.debug)
            self.close()
        elif "breaks" in control.faults and control.odd.logins > 1:
            self.close()
            control.close()

    handle_read_event = handle_read


class _OddHandler(FTPHandler):
    odd: ClassVar[OddFtpServer]
    faults: ClassVar[frozenset[str]]
    without: ClassVar[tuple[str, ...]]
    dtp_handler = _OddData
    abstracted_fs = _OddFs
    auth_failed_timeout = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        digest = {"perm": "l", "auth": True, "arg": True, "help": "digest of a file"}
        known = {name: value for name, value in FTPHandler.proto_cmds.items() if name not in self.without}
        if "xsha256" in self.faults:
            known["XSHA256"] = digest
            self._extra_feats = ["XSHA256"]
        if self.faults & {"hash", "lies"}:
            known["HASH"] = digest
            self._extra_feats = ["HASH SHA-256*;MD5"]
        self.proto_cmds = known

    def push(self, data: str) -> None:
        if "latin-1" in self.faults and data[:3] in ("220", "230", "250", "550"):
            text = data.replace("\r\n", " für dich\r\n")
            super(FTPHandler, self).push(text.encode("latin-1", "replace"))
        else:
            super().push(data)

    def respond(self, resp: str, logfun: Any = logging.debug) -> None:
        if "no-data" in self.faults and resp.startswith("227"):
            resp = "227 Entering passive mode (127,0,0,1,0,1)."
        super().respond(resp, logfun=logfun)

    def on_login(self, username: str) -> None:
        self.odd.logins += 1

    def ftp_PASS(self, line: str) -> None:
        others = [channel for channel in self.ioloop.socket_map.values() if isinstance(channel, FTPHandler)]
        if "busy" in self.faults and len(others) > 1:
            self.respond("530 Sorry, the maximum number of allowed clients (1) are already connected.")
            self.close_when_done()
        elif "talks" in self.faults and line != self.odd.password:
            self.respond(f"530 The password {line} is wrong.")
        else:
            super().ftp_PASS(line)

    def ftp_SIZE(self, path: str) -> None:
        if "blind" in self.faults:
            self.respond("550 Could not get file size.")
        else:
            super().ftp_SIZE(path)

    def ftp_RNTO(self, path: str) -> Any:
        name = Path(path).name
        if "colon" in self.faults and ":" in name:
            self.respond("553 Requested action not taken: file name not allowed.")
        elif name == "alive":
            super().ftp_RNTO(path)
        elif self.faults & {"renames-silently", "refuses-silently"}:
            if "renames-silently" in self.faults:
                Path(self._rnfr).rename(path)
            self.close()
        elif "hangs" not in self.faults:
            super().ftp_RNTO(path)

    def ftp_XSHA256(self, path: str) -> None:
        self.respond(f"250 {self._digest(path)}")

    def ftp_HASH(self, path: str) -> None:
        self.respond(f"213 SHA-256 0-{Path(path).stat().st_size} {self._digest(path)} {Path(path).name}")

    def ftp_OPTS(self, line: str) -> None:
        if line.upper().startswith("HASH"):
            self.respond("200 SHA-256")
        else:
            super().ftp_OPTS(line)

    def _digest(self, path: str) -> str:
        data = Path(path).read_bytes()
        if "lies" in self.faults and len(data) > 100:
            data += b"!"
        return hashlib.sha256(data).hexdigest().upper()
