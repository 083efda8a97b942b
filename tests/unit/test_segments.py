"""Compressed segments: the same content is the same file, however the network cut it."""

from __future__ import annotations

import io
import itertools
import random

import pytest

from outfeed.formats.compression import Compression, open_decompressed
from outfeed.sources.segments import CompressedSegment, Segment


class Kept(io.BytesIO):
    """Tells what was written to it after it was closed."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


def packed(content: bytes, sizes: list[int], compression: Compression) -> bytes:
    """A segment that is written in pieces of these sizes, again and again."""
    stream = Kept()
    segment = Segment("path", stream)
    with CompressedSegment(segment, compression) as out:
        rest = memoryview(content)
        for size in itertools.cycle(sizes):
            if not rest:
                break
            out.write(rest[:size])
            rest = rest[size:]
    assert segment.bytes == len(stream.content)
    return stream.content


@pytest.mark.parametrize("compression", list(Compression))
def test_the_same_content_is_the_same_file(compression: Compression) -> None:
    # D37
    chance = random.Random(5)
    words = [chance.randbytes(6).hex() for _ in range(500)]
    content = " ".join(chance.choice(words) for _ in range(120_000)).encode()
    files = {packed(content, sizes, compression) for sizes in ([9_999], [262_144], [3, 70_001, 300_000])}
    (file,) = files
    assert open_decompressed(io.BytesIO(file), compression).read() == content
