"""Encrypting one stream into another for a customer's public keys, in bounded memory."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from outfeed.errors import Action, TerminalError, TransientError

_BLOCK = 1 << 20

#: What is no larger is encrypted in this process; for more OpenPGP has one of its own, in a pipe.
_IN_MEMORY = 8 << 20

_REMEDY = "the customer gives a public key that can encrypt and has not expired; then clear this task"


class Reader(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


class Writer(Protocol):
    """What is written to."""

    def write(self, block: bytes, /) -> int:
        """Takes the whole block."""


class Stream(Protocol):
    """Encrypts one file."""

    def encrypt(self, reader: Reader, writer: Writer) -> None:
        """Writes the whole of `reader` encrypted; an error of either stream is raised as it is.

        Raises:
            TerminalError: nobody can encrypt for the key.
        """


def age_recipient(text: str) -> Any:
    """A recipient of age, from its text.

    Raises:
        ValueError: naming the forms that are known, or what is wrong with it.
    """
    import pyrage

    try:
        if text.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(text)
        if text.startswith(("ssh-ed25519 ", "ssh-rsa ")):
            return pyrage.ssh.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise ValueError(str(error)) from error
    raise ValueError("write age1…, ssh-ed25519 … or ssh-rsa …")


def openpgp_problem(text: str) -> str | None:
    """Why a text is not exactly one public key; None if it is."""
    import pysequoia

    try:
        found = pysequoia.Cert.split_bytes(text.encode())
    except Exception:  # noqa: BLE001 - the library has no class for its errors
        return "export it with gpg --armor --export"
    return None if len(found) == 1 else f"it holds {len(found)} keys"


class AgeStream:
    """See `Stream`."""

    def __init__(self, recipients: Sequence[str]) -> None:
        self._recipients = [age_recipient(text) for text in recipients]

    def encrypt(self, reader: Reader, writer: Writer) -> None:
        """See the protocol."""
        import pyrage

        source, target = _Faults(reader), _Faults(writer)
        refused: TerminalError | None = None
        try:
            pyrage.encrypt_io(source, target, self._recipients)
        except pyrage.EncryptError as error:
            refused = _refused(error)
        # The library repeats only the text of what a stream has raised, and at the end not even that.
        fault = source.fault or target.fault or refused
        if fault is not None:
            raise fault


class OpenPgpStream:
    """See `Stream`."""

    def __init__(self, public_key: str) -> None:
        self._key = public_key

    def encrypt(self, reader: Reader, writer: Writer) -> None:
        """See the protocol."""
        import pysequoia

        key = pysequoia.Cert.from_bytes(self._key.encode())
        _require_valid(key)
        first = _filled(reader, _IN_MEMORY + 1)
        if len(first) > _IN_MEMORY:
            _encrypt_in_pipe(self._key, first, reader, writer)
            return
        try:
            content = pysequoia.encrypt(first, recipients=[key], armor=False)
        except Exception as error:  # noqa: BLE001 - the library has no class for its errors
            raise _refused(error) from None
        writer.write(content)


def _require_valid(key: Any) -> None:
    """The library would encrypt for a key whose time is over."""
    if key.is_revoked:
        raise _refused("it was revoked")
    if key.expiration is not None and key.expiration <= dt.datetime.now(dt.UTC):
        raise _refused(f"it expired on {key.expiration:%Y-%m-%d}")


def _filled(reader: Reader, size: int) -> bytes:
    parts = []
    while size > 0 and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _encrypt_in_pipe(key: str, first: bytes, reader: Reader, writer: Writer) -> None:
    """Through a process of its own: the library wants files, and stops all threads while it works."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-m", "outfeed.connectors.openpgp_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - for the type checker
        feeder = _Feeder(process.stdin, key, first, reader)
        feeder.start()
        try:
            while block := process.stdout.read(_BLOCK):
                writer.write(block)
            said = process.stderr.read().decode(errors="replace").strip()
        except BaseException:
            process.kill()
            raise
        finally:
            feeder.join()
        if feeder.fault is not None:
            process.kill()
            raise feeder.fault
    if process.returncode == 1:
        raise _refused(said)
    if process.returncode != 0:
        raise TransientError(
            f"the process that encrypts ended with code {process.returncode}",
            action=Action.OPERATOR,
            remedy="retried; if it persists, find out what ends processes here, such as a lack of memory",
        )


class _Feeder(threading.Thread):
    """Writes key and content into the process, while its output is read.

    Attributes:
        fault: what reading the content raised.
    """

    def __init__(self, pipe: Any, key: str, first: bytes, reader: Reader) -> None:
        super().__init__(name="outfeed-encrypt", daemon=True)
        self._pipe = pipe
        self._key = key.encode()
        self._first = first
        self._reader = reader
        self.fault: BaseException | None = None

    def run(self) -> None:
        """See the base class."""
        try:
            self._write(len(self._key).to_bytes(8) + self._key)
            block = self._first
            while block:
                self._write(block)
                block = self._read()
        except BrokenPipeError:
            # The process says why it ended.
            pass
        finally:
            self._close()

    def _read(self) -> bytes:
        try:
            return self._reader.read(_BLOCK)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.fault = error
            return b""

    def _write(self, block: bytes) -> None:
        self._pipe.write(block)

    def _close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()


class _Faults(io.BufferedIOBase):
    """Passes a stream on and keeps the first error that it raises."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.fault: BaseException | None = None

    def readable(self) -> bool:
        """See the base class."""
        return True

    def writable(self) -> bool:
        """See the base class."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """See the base class."""
        try:
            block: bytes = self._stream.read(size)
        except BaseException as error:
            self.fault = error
            raise
        return block

    def write(self, block: Any) -> int:
        """See the base class."""
        try:
            self._stream.write(block)
        except BaseException as error:
            self.fault = error
            raise
        return len(block)


def _refused(said: object) -> TerminalError:
    # Lines after the first are the library's own stack.
    return TerminalError(
        f"a file can't be encrypted for the customer's public key: {str(said).partition(chr(10))[0]}",
        action=Action.CUSTOMER,
        remedy=_REMEDY,
    )
