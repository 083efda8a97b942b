"""A proxy that speaks FTP, and TLS to the client: every command, answer and data connection can fail."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from tests.hostile.armed import Armed
from tests.hostile.story import Fault
from tests.hostile.tcp_wire import Listener, reset, until_gone
from tests.servers.certificates import Certificates

_BLOCK = 1 << 16
_TRANSFERS = {"STOR", "RETR", "MLSD", "NLST", "LIST"}
_BEFORE = ("cut", "refuse", "full", "denied", "revoked", "race")
_AFTER = ("lost", "mute")


class FtpWire(Listener):
    """In front of an FTP server in clear; `certificates` let clients ask for TLS.

    Attributes:
        without_rename: whether the server lacks RNFR and RNTO.
    """

    def __init__(self, armed: Armed, target: int, certificates: Certificates) -> None:
        self.target = target
        self.without_rename = False
        self.gone = False
        self._sent = 0
        self._lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self._written: set[str] = set()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(certificates.certificate + certificates.key)
            file.flush()
            self.context.load_cert_chain(Path(file.name))
        super().__init__(armed)

    def rearm(self) -> None:
        """Begins to count the bytes of a new try."""
        self._sent, self.gone = 0, False

    def serve(self, client: socket.socket) -> None:
        if self.gone:
            reset(client)
            return
        server = socket.create_connection(("127.0.0.1", self.target), timeout=20)
        self.open |= {client, server}
        try:
            with self.working():
                _Control(self, client, server).run()
        finally:
            self.open -= {client, server}
            server.close()

    def count(self, size: int) -> Fault | None:
        """The fault that is due while a client sends so many more bytes."""
        with self._lock:
            before, self._sent = self._sent, self._sent + size
        for fault in self.armed.of_bytes():
            if fault.after < before + size and self.armed.spent(fault):
                self.gone = self.gone or fault.kind == "gone"
                return fault
        return None

    def began(self, name: str) -> None:
        """A file of this name is written; without rename, two tries may do so at once."""
        with self._lock:
            if self.without_rename and name in self._written and "/.outfeed-tmp/" not in name:
                self.armed.crossed.add(name)
            self._written.add(name)

    def removed(self, name: str) -> None:
        """A file is gone."""
        with self._lock:
            self._written.discard(name)

    def end_all(self) -> None:
        """Resets every connection."""
        for sock in list(self.open):
            reset(sock)


class _EndedError(Exception):
    """The control connection is over."""


class _Control:
    """One control connection and the data connections that belong to it."""

    def __init__(self, wire: FtpWire, client: socket.socket, server: socket.socket) -> None:
        self.wire = wire
        self.client = client
        self.server = server
        self.protected = False
        self.passive: socket.socket | None = None
        self.passive_port = 0
        self.folder = "/"
        self._from_client: BinaryIO = client.makefile("rb")
        self._from_server: BinaryIO = server.makefile("rb")

    def run(self) -> None:
        """Passes commands and answers on until one side ends."""
        with contextlib.suppress(_EndedError):
            self._say(self._heard())
            while line := self._from_client.readline():
                self._sent(len(line))
                verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
                self._command(verb.upper(), argument, line)
        if self.passive is not None:
            self.passive.close()
        for file in (self._from_client, self._from_server):
            with contextlib.suppress(OSError):
                file.close()
        with contextlib.suppress(OSError):
            self.client.close()

    def _sent(self, size: int) -> None:
        """Counts; what a fault of bytes does to the control connection."""
        fault = self.wire.count(size)
        if fault is None:
            return
        if fault.kind == "stall":
            until_gone(self.client)
        self.wire.end_all()
        raise _EndedError

    def _command(self, verb: str, argument: str, line: bytes) -> None:
        if verb == "AUTH":
            self._say(b"234 go on\r\n")
            self._protect()
        elif verb in ("PBSZ", "PROT") and isinstance(self.client, ssl.SSLSocket):
            self.protected = self.protected or (verb == "PROT" and argument.upper() == "P")
            self._say(b"200 so be it\r\n")
        elif verb in ("RNFR", "RNTO") and self.wire.without_rename:
            self._say(b"502 no such command\r\n")
        else:
            fault = self.wire.armed.take(verb, _BEFORE, argument)
            if fault is None or self._before(fault, argument):
                self._pass_on(verb, argument, line)

    def _protect(self) -> None:
        self._from_client.close()
        self.wire.open.discard(self.client)
        self.client = self.wire.context.wrap_socket(self.client, server_side=True)
        self.wire.open.add(self.client)
        self._from_client = self.client.makefile("rb")

    def _before(self, fault: Fault, argument: str) -> bool:
        """What happens before the server hears a command; whether it does."""
        if fault.kind == "race":
            self.wire.armed.take_name(argument)
            return True
        if fault.kind == "cut":
            reset(self.client)
            raise _EndedError
        code = fault.amount
        self._say(f"{code} hostile\r\n".encode())
        if code == 421:
            raise _EndedError
        return False

    def _pass_on(self, verb: str, argument: str, line: bytes) -> None:
        data = self._data_connections() if verb in _TRANSFERS else None
        self.server.sendall(line)
        answer = self._heard()
        if verb == "PASV" and answer.startswith(b"227"):
            answer = self._own_port(answer)
        if verb == "DELE" and answer.startswith(b"2"):
            self.wire.removed(argument)
        if data is not None and answer.startswith(b"1"):
            if verb == "STOR":
                self.wire.began(argument)
            self._say(answer)
            answer = self._transfer(verb, *data)
        elif data is not None:
            for sock in data:
                sock.close()
        after = self.wire.armed.take(verb, _AFTER, f"{argument} ({answer[:3].decode()})")
        if after is None:
            self._say(self._lie(verb, argument, answer))
        else:
            if after.kind == "mute":
                until_gone(self.client)
            reset(self.client)
            raise _EndedError

    def _lie(self, verb: str, argument: str, answer: bytes) -> bytes:
        """Of what was just written, a wrong size may be told, as by a server that lost a part of it."""
        armed = self.wire.armed
        if size := re.match(rb"213 (\d+)", answer) if verb == "SIZE" else None:
            armed.tell(argument, int(size[1]))
        if verb == "STOR" and answer.startswith(b"226"):
            armed.fresh.add(argument)
        elif verb == "SIZE" and argument in armed.fresh:
            armed.fresh.discard(argument)
            if not argument.endswith("/probe") and armed.take(verb, ("wrong size",), argument):
                armed.tell(argument, -1)
                return re.sub(rb"^213 (\d+)", rb"213 7\1", answer)
        return answer

    # -- data

    def _own_port(self, answer: bytes) -> bytes:
        numbers = re.search(rb"(\d+),(\d+)\)?\.?\s*$", answer)
        assert numbers is not None, answer
        self.passive_port = int(numbers[1]) * 256 + int(numbers[2])
        if self.passive is not None:
            self.passive.close()
        self.passive = socket.create_server(("127.0.0.1", 0))
        high, low = divmod(self.passive.getsockname()[1], 256)
        return f"227 Entering passive mode (127,0,0,1,{high},{low}).\r\n".encode()

    def _data_connections(self) -> tuple[socket.socket, socket.socket]:
        assert self.passive is not None
        self.passive.settimeout(10)
        theirs, _ = self.passive.accept()
        self.passive.close()
        self.passive = None
        ours = socket.create_connection(("127.0.0.1", self.passive_port), timeout=20)
        self.wire.open |= {theirs, ours}
        return theirs, ours

    def _transfer(self, verb: str, theirs: socket.socket, ours: socket.socket) -> bytes:
        """Moves the data; returns the server's last answer."""
        try:
            if self.protected:
                theirs.settimeout(10)
                self.wire.open.discard(theirs)
                theirs = self.wire.context.wrap_socket(theirs, server_side=True)
                self.wire.open.add(theirs)
            if verb == "STOR":
                self._upload(theirs, ours)
            else:
                while block := ours.recv(_BLOCK):
                    theirs.sendall(block)
                self._end(theirs)
        except OSError:
            reset(theirs)
            reset(ours)
        finally:
            self.wire.open -= {theirs, ours}
            theirs.close()
            ours.close()
        return self._heard()

    def _upload(self, theirs: socket.socket, ours: socket.socket) -> None:
        fault = self.wire.armed.take("data")
        done = 0
        while block := theirs.recv(_BLOCK):
            due = self.wire.count(len(block))
            if due is not None:
                if due.kind == "stall":
                    until_gone(theirs)
                self.wire.end_all()
                return
            if fault is not None and done + len(block) > fault.amount >= done:
                block = self._data_fault(fault, theirs, ours, block, fault.amount - done)
                if fault.kind == "half":
                    break
            done += len(block)
            ours.sendall(block)
        self._end(theirs)
        ours.close()

    def _data_fault(
        self, fault: Fault, theirs: socket.socket, ours: socket.socket, block: bytes, place: int
    ) -> bytes:
        """What becomes of a block in whose middle something happens."""
        if fault.kind == "flip":
            self.wire.armed.flipped += 1
            changed = bytearray(block)
            changed[place] ^= 4
            return bytes(changed)
        ours.sendall(block[:place])
        if fault.kind == "half":
            # The rest is lost without a word, as by a server whose disk is full and who does not say so.
            ours.shutdown(socket.SHUT_WR)
            while theirs.recv(_BLOCK):
                pass
            return b""
        if fault.kind == "data stall":
            until_gone(theirs)
        raise ConnectionResetError

    @staticmethod
    def _end(sock: socket.socket) -> None:
        if isinstance(sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()

    # -- lines

    def _heard(self) -> bytes:
        """One answer of the server, of any number of lines."""
        line = first = self._from_server.readline()
        lines = [first]
        while line and first[3:4] == b"-" and not line.startswith(first[:3] + b" "):
            line = self._from_server.readline()
            lines.append(line)
        if not line:
            raise _EndedError
        return b"".join(lines)

    def _say(self, answer: bytes) -> None:
        self.client.sendall(answer)
