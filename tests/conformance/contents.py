"""Files to deliver, streams that break, wait or have no end, and what became of a file."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from outfeed.connectors.base import Delivered, Outgoing, Undelivered


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that don't compress and that differ from block to block."""
    import random

    return random.Random(f"{size} {seed}").randbytes(size)


def outgoing(path: str, data: bytes, **declared: Any) -> Outgoing:
    """A file as the steps hand it over: with its size and digest, unless told otherwise."""
    known = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | declared
    return Outgoing(path, lambda: io.BytesIO(data), **known)


class BrokenStream(io.RawIOBase):
    """Gives the first bytes of a content and then an error."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self._data = io.BytesIO(data)
        self._error = error

    def read(self, size: int = -1) -> bytes:
        block = self._data.read(size)
        if not block:
            raise self._error
        return block


class HeldStream(io.RawIOBase):
    """Gives the first bytes of a content, and the rest when it is told to go on."""

    def __init__(self, data: bytes, first: int) -> None:
        self._data = io.BytesIO(data)
        self._first = first
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int = -1) -> bytes:
        left = self._first - self._data.tell()
        if left > 0:
            return self._data.read(left if size < 0 else min(left, size))
        self.reached.set()
        if not self.go_on.wait(120):
            raise TimeoutError("nobody let the source go on")
        return self._data.read(size)


class GeneratedStream(io.RawIOBase):
    """A large content that is never in memory as a whole."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = content(1 << 16)

    def read(self, size: int = -1) -> bytes:
        count = min(self._left, len(self._block), size if size >= 0 else self._left)
        self._left -= count
        return self._block[:count]


def stream(make: Callable[[], Any]) -> Callable[[], BinaryIO]:
    """A source's `open` from something that only knows how to read."""
    return make


def counted(files: Iterable[Outgoing], pulled: list[str]) -> Iterator[Outgoing]:
    """Notes which files have been asked for."""
    for file in files:
        pulled.append(file.path)
        yield file


def failure(result: Delivered | Undelivered) -> Any:
    """The error of a file that must not have arrived."""
    assert isinstance(result, Undelivered), result
    return result.error
