"""Compression of files: each stream is a whole gzip member or zstd frame; several are one file again."""

from __future__ import annotations

import io
from collections.abc import Callable
from enum import StrEnum
from typing import Any, BinaryIO, Final, cast

#: igzip's level 1 packs as well as zlib's 6 in a tenth of the time; zstd's 3 is its default.
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3

#: Read at once: small, because a frame may hold thousands of times as much.
_BLOCK: Final = 1 << 14


class Compression(StrEnum):
    """How a file is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """What the file's name ends in."""
        return {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.value]


class _KeptOpen(io.RawIOBase):
    """Passes writes on; closing it leaves the stream below open."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self._stream.write(block)
        return len(block)


class _Frames(io.RawIOBase):
    """Reads zstd frames one after the other; unlike the library's own reader it notices a missing end."""

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._stream = stream
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new()
        self._begun = False
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._rest or self._stream.read(_BLOCK)
            if not block:
                if self._begun:
                    raise EOFError("the compressed file ended before its end marker")
                return 0
            self._ready = memoryview(self._frame.decompress(block))
            self._rest = b""
            self._begun = True
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame, self._begun = self._new(), False
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def open_compressed(stream: BinaryIO, compression: Compression) -> BinaryIO:
    """A writer whose `close` ends the member or frame, not `stream`; the same data gives the same bytes."""
    kept = cast("BinaryIO", _KeptOpen(stream))
    if compression is Compression.GZIP:
        return _igzip()("", "wb", _GZIP_LEVEL, kept, mtime=0)
    if compression is Compression.ZSTD:
        import zstandard

        options = zstandard.ZstdCompressionParameters.from_level(_ZSTD_LEVEL, write_checksum=True)
        return cast("BinaryIO", zstandard.ZstdCompressor(compression_params=options).stream_writer(kept))
    return kept


def open_decompressed(stream: BinaryIO, compression: Compression) -> BinaryIO:
    """A reader of all members or frames of `stream`, one after the other; a missing end is an `EOFError`."""
    if compression is Compression.GZIP:
        return _igzip()("", "rb", fileobj=stream)
    if compression is Compression.ZSTD:
        return cast("BinaryIO", io.BufferedReader(_Frames(stream), 1 << 18))
    return stream


def _igzip() -> Callable[..., BinaryIO]:
    """The class, which has no type hints."""
    from isal import igzip

    return cast("Callable[..., BinaryIO]", igzip.IGzipFile)
