"""Staged files that a table becomes: they count what reaches storage, after compression."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, cast

from outfeed.formats.compression import Compression, open_compressed

#: Bytes that a compressor is given at a time.
_BLOCK = 1 << 18


class Segment(io.RawIOBase):
    """A staged file, with its path and the bytes written to it."""

    def __init__(self, path: str, stream: BinaryIO) -> None:
        self.path = path
        self.bytes = 0
        self._stream = stream

    def writable(self) -> bool:
        """See the base class."""
        return True

    def write(self, block: Any) -> int:
        """Writes the whole block."""
        self._stream.write(block)
        self.bytes += len(block)
        return len(block)

    def close(self) -> None:
        """Publishes what was written, once."""
        if not self.closed:
            self._stream.close()
        super().close()


class CompressedSegment(io.RawIOBase):
    """Compresses what is written, as a whole member or frame, into a segment.

    The same content gives the same bytes, however it is cut (D37): what a compressor writes depends on how
    much it is given at a time, and that would depend on the network.
    """

    def __init__(self, segment: Segment, compression: Compression) -> None:
        self._segment = segment
        self._stream = open_compressed(cast("BinaryIO", segment), compression)
        self._compresses = compression is not Compression.NONE
        self._waiting = bytearray()

    def writable(self) -> bool:
        """See the base class."""
        return True

    def write(self, block: Any) -> int:
        """Takes the whole block."""
        if not self._compresses:
            self._stream.write(block)
            return len(block)
        self._waiting += block
        while len(self._waiting) >= _BLOCK:
            self._stream.write(self._waiting[:_BLOCK])
            del self._waiting[:_BLOCK]
        return len(block)

    def close(self) -> None:
        """Ends the member or frame, and the file."""
        if not self.closed:
            self._stream.write(self._waiting)
            self._stream.close()
            self._segment.close()
        super().close()
