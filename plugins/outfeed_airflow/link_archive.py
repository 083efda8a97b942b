"""All files of a delivery as one ZIP archive, made while it is sent: no disk, bounded memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

#: Bytes per read of a file.
BLOCK_SIZE = 1 << 18


class _Pipe(io.RawIOBase):
    """What was written and not taken yet; it can't seek, so the archive is written from front to back."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, block: object) -> int:
        content = bytes(block)  # type: ignore[call-overload]
        self._waiting.append(content)
        return len(content)

    def taken(self) -> bytes:
        """All that waits."""
        content = b"".join(self._waiting)
        self._waiting.clear()
        return content


def archive(files: Iterable[tuple[str, Callable[[], BinaryIO]]]) -> Iterator[bytes]:
    """The archive's bytes, stored without compression; names are paths, contents are opened one by one."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as writer:
        for path, opened in files:
            # Without a time of its own an entry has the clock's; a delivery has none.
            info = zipfile.ZipInfo(path)
            with opened() as source, writer.open(info, "w", force_zip64=True) as entry:
                while block := source.read(BLOCK_SIZE):
                    entry.write(block)
                    yield pipe.taken()
    yield pipe.taken()
