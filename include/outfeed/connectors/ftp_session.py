"""One FTP connection: no command waits without an end, and what a server's answers mean for a delivery."""

from __future__ import annotations

import calendar
import contextlib
import ftplib
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterator

from outfeed.connectors.base import BLOCK_SIZE
from outfeed.connectors.transfer import SourceReader
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

#: Seconds in which a command must be answered and data must flow.
STALL_TIMEOUT = 120.0

#: Bytes a second below which a server that stores or hashes a file is taken to hang.
_SLOWEST = 20e6

#: Seconds without use after which a connection is asked whether it still lives.
IDLE = 15.0

#: Bytes per send: the time limit holds for each, so that a slow line is not a dead one.
_PIECE = 64 << 10

#: Answers to a command that the server does not have.
UNKNOWN_COMMAND = frozenset([500, 501, 502, 504])

_FULL = re.compile(r"no space|disk.{0,10}full|quota|insufficient (?:disk|storage)|exceeded storage", re.I)


class FtpRefusal(Exception):  # noqa: N818 - an answer, not yet an error
    """The server said no."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code} {text}")


class FtpLost(Exception):  # noqa: N818 - see above
    """The connection ended, or the server fell silent, before it answered."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(reason)


class ControlConnection(ftplib.FTP):
    """Sends names in UTF-8, and survives servers whose messages are in something else.

    Attributes:
        passive_port: the port that the server has just named, until the next command.
    """

    passive_port: int | None = None

    def __init__(self, timeout: float) -> None:
        # Every byte has its Latin-1 character, so that nothing fails before it is decoded below.
        super().__init__(timeout=timeout, encoding="latin-1")

    def putline(self, line: str) -> None:
        self.passive_port = None
        super().putline(line.encode().decode("latin-1"))

    def makepasv(self) -> tuple[str, int]:
        host, port = super().makepasv()
        self.passive_port = port
        return host, port

    def getline(self) -> str:
        return super().getline().encode("latin-1").decode("utf-8", "replace")


class TlsControlConnection(ControlConnection, ftplib.FTP_TLS):
    """Protects the data, too; its connections continue the TLS session, as many servers demand.

    A server that sees the session knows that the data comes from whom it let in.
    """

    def __init__(self, timeout: float, context: ssl.SSLContext) -> None:
        ftplib.FTP_TLS.__init__(  # noqa: S321 - with TLS
            self, context=context, timeout=timeout, encoding="latin-1"
        )

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        plain, size = super(ftplib.FTP_TLS, self).ntransfercmd(cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - tells the type checker
        try:
            # With TLS 1.3 tickets come after the handshake; by now the login's answers brought one.
            data = self.context.wrap_socket(plain, server_hostname=self.host, session=self.sock.session)
        except OSError as error:
            plain.close()
            raise _DataFault(error) from error
        except BaseException:
            plain.close()
            raise
        return data, size


class _DataFault(Exception):  # noqa: N818 - never leaves this module
    """The data connection failed; the control connection may know why."""


class FtpSession:
    """A logged-in connection in binary mode.

    Its methods raise `FtpRefusal` when the server says no, and `FtpLost` when it says nothing any more.

    Attributes:
        usable: whether it is in step with the server; otherwise it is to be closed.
        features: what FEAT announced: arguments by upper-case name.
    """

    def __init__(self, ftp: ControlConnection, secret: str) -> None:
        self.usable = True
        self.features: dict[str, str] = {}
        self.used = time.monotonic()
        self._ftp = ftp
        self._secret = secret
        self._close_notify = True
        self._hashing = ""

    def start(self) -> None:
        """Protects the data if the connection is TLS, and agrees on binary mode and UTF-8 names."""
        ftp = self._ftp
        if isinstance(ftp, ftplib.FTP_TLS):
            with self._talk():
                ftp.prot_p()
        ftp.timeout = STALL_TIMEOUT
        self._patience()
        self.ask("TYPE I")
        with contextlib.suppress(FtpRefusal):
            self.features = _features(self.ask("FEAT"))
        if "UTF8" in self.features:
            with contextlib.suppress(FtpRefusal):
                self.ask("OPTS UTF8 ON")

    @contextlib.contextmanager
    def _talk(self) -> Iterator[None]:
        try:
            yield
        except (ftplib.error_temp, ftplib.error_perm) as error:
            refusal = self._refusal(str(error))
            self.usable = self.usable and refusal.code != 421
            raise refusal from None
        except (OSError, EOFError, ftplib.Error) as error:
            self.usable = False
            raise FtpLost(_reason(error)) from error
        finally:
            self.used = time.monotonic()

    def _refusal(self, answer: str) -> FtpRefusal:
        text = re.sub(r"[\x00-\x1f\x7f]+", " ", answer[3:].lstrip(" -"))
        if self._secret:
            text = text.replace(self._secret, "…")
        return FtpRefusal(int(answer[:3]), text[:200].strip())

    def _patience(self, size: int = 0) -> None:
        """Allows the next answer its time: a server may move or hash a whole file before it answers."""
        if self._ftp.sock is not None:
            self._ftp.sock.settimeout(STALL_TIMEOUT + size / _SLOWEST)

    # -- commands

    def ask(self, command: str) -> str:
        """The answer to a command."""
        with self._talk():
            return self._ftp.sendcmd(command)

    def log_in(self, username: str) -> None:
        """Logs in with the secret of this session."""
        with self._talk():
            answer = self._ftp.sendcmd(f"USER {username}")
            if answer.startswith("3"):
                self._ftp.voidcmd(f"PASS {self._secret}")

    def home(self) -> str:
        """The folder that the login led to."""
        return ftplib.parse257(self.ask("PWD"))  # noqa: S321 - reads a text

    def size(self, path: str) -> int | None:
        """Bytes of a file by SIZE; None if there is no such file."""
        try:
            answer = self.ask(f"SIZE {path}")
        except FtpRefusal as refusal:
            if refusal.code in (550, 553):
                return None
            raise
        return _number(answer[3:])

    def facts(self, path: str) -> dict[str, str] | None:
        """What MLST says of a path, by lower-case name; None if there is nothing."""
        try:
            answer = self.ask(f"MLST {path}")
        except FtpRefusal as refusal:
            if refusal.code in (550, 553):
                return None
            raise
        lines = [line for line in answer.splitlines() if "=" in line.lstrip().partition(" ")[0]]
        facts = lines[0].lstrip().partition(" ")[0].rstrip(";").split(";") if lines else []
        return {name.lower(): value for name, _, value in (fact.partition("=") for fact in facts)}

    def modified(self, path: str) -> float | None:
        """When a file was written, by the server's clock, in seconds; None if the server does not tell."""
        try:
            stamp = self.ask(f"MDTM {path}")[3:].strip()[:14]
        except FtpRefusal:
            return None
        with contextlib.suppress(ValueError):
            return float(calendar.timegm(time.strptime(stamp, "%Y%m%d%H%M%S")))
        return None

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there that we may enter."""
        try:
            self.ask(f"CWD {path}")
        except FtpRefusal as refusal:
            if refusal.code == 421:
                raise
            return False
        return True

    def rename(self, old: str, new: str) -> None:
        """Gives a file another name; many servers replace what has that name already."""
        self.ask(f"RNFR {old}")
        self.ask(f"RNTO {new}")

    # -- data

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none if it does not exist."""
        if not self.is_folder(folder):
            return []
        machine_readable = "MLSD" in self.features or "MLST" in self.features
        try:
            listing = b"".join(self._received("MLSD" if machine_readable else "NLST"))
        except FtpRefusal as refusal:
            if not machine_readable and refusal.code in (450, 550):
                # Some servers answer so for an empty folder.
                return []
            raise
        lines = [line for line in listing.decode("utf-8", "replace").splitlines() if line]
        found = [_name(line) if machine_readable else line.rpartition("/")[2] for line in lines]
        return [name for name in found if name not in ("", ".", "..")]

    def sha256(self, path: str) -> tuple[str, int]:
        """Hex digest and length of a file, by reading it."""
        digest, count = hashlib.sha256(), 0
        for block in self._received(f"RETR {path}"):
            digest.update(block)
            count += len(block)
        return digest.hexdigest(), count

    def reported_sha256(self, path: str, size: int) -> str | None:
        """The hex SHA-256 that the server computes of a file, if it announced that it can."""
        command = self._hash_command()
        if not command:
            return None
        self._patience(size)
        try:
            answer = self.ask(f"{command} {path}")
        finally:
            self._patience()
        found = re.search(r"\b[0-9a-fA-F]{64}\b", answer)
        return found.group().lower() if found else None

    def _hash_command(self) -> str:
        """HASH, told once which algorithm, or the older XSHA256; empty if the server has neither."""
        if not self._hashing and "SHA-256" in self.features.get("HASH", "").upper():
            self.ask("OPTS HASH SHA-256")
            self._hashing = "HASH"
        if not self._hashing and "XSHA256" in self.features:
            self._hashing = "XSHA256"
        return self._hashing

    def store(self, path: str, block: bytes, reader: SourceReader | None = None) -> None:
        """Sends a file: a first block, and then what the reader still has.

        When the reader fails, its error is raised, and the server has got a part of the file under `path`.
        """
        data = self._data(f"STOR {path}")
        sent = 0
        try:
            while block:
                self._send(data, block)
                sent += len(block)
                block = b"" if reader is None or reader.finished else reader.block(BLOCK_SIZE)
            self._end(data)
        except _DataFault as fault:
            data.close()
            raise self._explained(fault) from fault
        except BaseException:
            data.close()
            with contextlib.suppress(FtpRefusal, FtpLost), self._talk():
                self._ftp.getresp()
            raise
        self._patience(sent)
        try:
            with self._talk():
                self._ftp.voidresp()
        finally:
            self._patience()

    def _data(self, command: str) -> socket.socket:
        try:
            with self._talk():
                return self._ftp.transfercmd(command)
        except _DataFault as fault:
            raise self._explained(fault) from fault
        except FtpLost as lost:
            if self._ftp.passive_port is None:
                raise
            raise FtpLost(
                f"its data port {self._ftp.passive_port} can't be reached: {lost}",
                "retried; if it persists, open the server's passive ports in the firewall for us",
            ) from lost

    @staticmethod
    def _send(data: socket.socket, block: bytes) -> None:
        view = memoryview(block)
        try:
            for start in range(0, len(view), _PIECE):
                data.sendall(view[start : start + _PIECE])
        except OSError as error:
            raise _DataFault(error) from error

    def _end(self, data: socket.socket) -> None:
        """Ends the data; with TLS in words, and what the server had to say is read before closing.

        Tickets that lie unread would make the kernel reset the connection, and lose its end.
        """
        if isinstance(data, ssl.SSLSocket) and self._close_notify:
            try:
                data = data.unwrap()
            except TimeoutError:
                self._close_notify = False
            except (OSError, ValueError):
                # The server closed without a word. Its answer, and the size, tell whether it has all.
                pass
        data.close()

    def _received(self, command: str) -> Iterator[bytes]:
        data = self._data(command)
        try:
            while block := self._receive(data):
                yield block
        except _DataFault as fault:
            data.close()
            raise self._explained(fault) from fault
        except GeneratorExit:
            self.usable = False
            raise
        finally:
            data.close()
        with self._talk():
            self._ftp.voidresp()

    @staticmethod
    def _receive(data: socket.socket) -> bytes:
        try:
            return data.recv(BLOCK_SIZE)
        except OSError as error:
            raise _DataFault(error) from error

    def _explained(self, fault: _DataFault) -> FtpRefusal | FtpLost:
        """Why the data connection failed: the server often says so on the other one."""
        cause = fault.__cause__
        if not isinstance(cause, TimeoutError):
            try:
                with self._talk():
                    self._ftp.getresp()
            except FtpRefusal as refusal:
                return refusal
            except FtpLost:
                pass
        self.usable = False
        return FtpLost(f"the data connection failed: {_reason(cause)}")

    # -- the end

    def alive(self) -> bool:
        """Whether the server still answers; asked only of a connection that was idle for a while."""
        if time.monotonic() - self.used > IDLE:
            with contextlib.suppress(FtpRefusal, FtpLost):
                self.ask("NOOP")
        return self.usable

    def close(self) -> None:
        """Ends the connection, politely if it is in step."""
        if self.usable and self._ftp.sock is not None:
            self._ftp.sock.settimeout(5)
            with contextlib.suppress(FtpRefusal, FtpLost):
                self.ask("QUIT")
        self._ftp.close()


def _features(answer: str) -> dict[str, str]:
    lines = (line.strip().partition(" ") for line in answer.splitlines()[1:-1])
    return {name.upper(): arguments for name, _, arguments in lines}


def _name(line: str) -> str:
    """The name in a line of MLSD; that of the folder itself and of its parent are none."""
    facts, _, name = line.partition(" ")
    own = re.search(r"\btype=[cp]dir\b", facts, re.I)
    return "" if own else name


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FtpLost(f"it answers SIZE with {text.strip()[:40]!r}") from None


def _reason(error: BaseException | None) -> str:
    """What a library says of its error, in a few words and without the server's text."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the server closed it"
    if isinstance(error, ftplib.Error):
        return "the server answers out of order"
    return str(getattr(error, "strerror", "") or type(error).__name__)


_ACTIONS: dict[int, tuple[type[OutfeedError], str]] = {
    421: (
        TransientError,
        "retried; if it persists, lower `parallel`, or let the customer allow more connections",
    ),
    425: (TransientError, "retried; if it persists, open the server's passive ports in the firewall for us"),
    426: (TransientError, "retried; if it persists, open the server's passive ports in the firewall for us"),
    450: (TransientError, "retried; if it persists, something at the server holds the file"),
    451: (TransientError, "retried; if it persists, see the server's log: it is often a full disk"),
    521: (TerminalError, "allow protected data connections, or set ftp_protocol: ftp"),
    522: (TerminalError, "ask for the server's TLS log: it did not accept our data connection"),
    530: (TerminalError, "let the user log in; see the server's log"),
    534: (TerminalError, "the server wants TLS: set ftp_protocol: ftps"),
}


def ftp_fault(error: Exception, doing: str, location: str, *, right: str = "") -> OutfeedError:
    """What an answer, or none, means: `doing` completes 'could not …', `right` names what may be missing."""
    if not isinstance(error, FtpRefusal):
        remedy = error.remedy if isinstance(error, FtpLost) else ""
        return TransientError(
            f"could not {doing}: the connection was lost ({error})",
            where=location,
            action=Action.CUSTOMER if remedy else Action.OPERATOR,
            remedy=remedy or "retried",
        )
    if error.code in (452, 552) or _FULL.search(error.text):
        return TerminalError(
            f"could not {doing}: the disk or the quota at the destination is full",
            where=location,
            action=Action.CUSTOMER,
            remedy="free space at the destination, then clear the task",
        )
    kind, remedy = _ACTIONS.get(error.code, (None, ""))
    if kind is None:
        kind = TransientError if error.code < 500 else TerminalError
        missing = f"give our user the right to {right} there" if right else "see the server's log"
        remedy = f"retried; if it persists: {missing}" if kind is TransientError else missing
    return kind(
        f"could not {doing}: the server answers '{error}'",
        where=location,
        action=Action.CUSTOMER,
        remedy=remedy,
    )


def is_overload(error: FtpRefusal) -> bool:
    """Whether a refusal at the login means too many connections, not a wrong password."""
    words = r"too many|maximum|max(?:\.|imum)? (?:number|clients|connections)|limit|try (?:again )?later"
    return error.code == 421 or bool(re.search(words, error.text, re.I))
