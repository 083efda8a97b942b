"""Compressed files are what other programs read, the same bytes each time, and may be concatenated."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from pathlib import Path

import pyarrow
import pytest

from outfeed.formats.compression import Compression, open_compressed, open_decompressed

PACKED = [Compression.GZIP, Compression.ZSTD]
SEGMENTS = [b"id,name\r\n", b"", b"1,a\r\n" * 100_000, bytes(range(256)) * 999]


def compressed(data: bytes, compression: Compression) -> bytes:
    stream = io.BytesIO()
    with open_compressed(stream, compression) as writer:
        for start in range(0, len(data), 70_001):
            writer.write(data[start : start + 70_001])
    assert not stream.closed
    return stream.getvalue()


@pytest.mark.parametrize("compression", Compression)
def test_segments_are_one_file(compression: Compression) -> None:
    data = b"".join(compressed(segment, compression) for segment in SEGMENTS)
    reader = open_decompressed(io.BytesIO(data), compression)
    assert reader.read(5) == b"id,na"
    assert b"id,na" + reader.read() == b"".join(SEGMENTS)


@pytest.mark.parametrize("compression", PACKED)
def test_command_line_tools_read_it(compression: Compression, tmp_path: Path) -> None:
    tool = shutil.which(compression.value)
    data = b"".join(compressed(segment, compression) for segment in SEGMENTS)
    path = tmp_path / f"file{compression.suffix}"
    path.write_bytes(data)
    if tool is not None:
        done = subprocess.run([tool, "-dc", path], stdout=subprocess.PIPE, check=True)
        assert done.stdout == b"".join(SEGMENTS)
    elif compression is Compression.GZIP:
        assert gzip.decompress(data) == b"".join(SEGMENTS)
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), compression.value) as stream:
        assert stream.read() == b"".join(SEGMENTS)


@pytest.mark.parametrize("compression", Compression)
def test_same_data_gives_same_bytes(compression: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compressed(SEGMENTS[2], compression)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert compressed(SEGMENTS[2], compression) == first
    assert compression is Compression.NONE or len(first) < len(SEGMENTS[2]) / 10


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("kept", [0.999, 0.5, 0.1])
def test_a_cut_file_is_an_error(compression: Compression, kept: float) -> None:
    data = compressed(SEGMENTS[3], compression)
    with pytest.raises(EOFError):
        open_decompressed(io.BytesIO(data[: int(len(data) * kept)]), compression).read()


def test_a_damaged_frame_is_an_error() -> None:
    data = bytearray(compressed(b"".join(SEGMENTS), Compression.ZSTD))
    data[-1] ^= 1
    with pytest.raises(Exception, match="checksum"):
        open_decompressed(io.BytesIO(bytes(data)), Compression.ZSTD).read()


def test_suffixes() -> None:
    assert [each.suffix for each in Compression] == ["", ".gz", ".zst"]
