"""A store that costs next to nothing: what a client could do if the server were not on its processors.

It speaks as much of S3's and Google's protocols as an upload needs, keeps nothing and checks nothing. It
may take its time before it answers, as a server far away does; a slow start of TCP is not modelled.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractContextManager

from tests.servers.process import running_module, told

_BUFFER = 1 << 20

#: What is repeated to the client as proof.
_SHA256 = re.compile(rb"(?i)\r\nx-amz-checksum-sha256: *(\S+)")
_CRC32C = re.compile(rb'"crc32c": *"([^"]+)"')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def quick_store(size: int, delay: float) -> AbstractContextManager[int]:
    """A store in a process of its own, for contents of one size; yields its port."""
    return running_module("benchmarks.quick_store", size=size, delay=delay)


class _Upload(asyncio.BufferedProtocol):
    """One connection: reads requests, of their contents only the beginning."""

    #: All connections share it: what is read is looked at at once.
    _space = memoryview(bytearray(_BUFFER))

    def __init__(self, size: int, delay: float) -> None:
        self._size = size
        self._delay = delay
        self._seen = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._space

    def buffer_updated(self, count: int) -> None:
        if self._left:
            if len(self._seen) < 2048:
                self._seen += bytes(self._space[: min(count, 1024)])
            self._left -= count
        else:
            self._seen += bytes(self._space[:count])
            head, end, content = self._seen.partition(b"\r\n\r\n")
            if not end:
                return
            length = _LENGTH.search(head)
            self._left = (int(length[1]) if length else 0) - len(content)
            self._seen = self._seen[:4096]
            if b"100-continue" in head:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._left <= 0:
            self._answer()

    def _answer(self) -> None:
        sha256, crc32c = _SHA256.search(self._seen), _CRC32C.search(self._seen)
        head = b"x-amz-checksum-sha256: %s\r\n" % sha256[1] if sha256 else b""
        # Amazon's answer has no content; of Google's bucket, nothing is looked at.
        body = b"" if self._seen.startswith(b"PUT") else b"{}"
        if crc32c:
            body = b'{"size": "%d", "crc32c": "%s"}' % (self._size, crc32c[1])
        answer = (
            b'HTTP/1.1 200 OK\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n'
            b"Content-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
        )
        self._seen, self._left = b"", 0
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)
        else:
            self._transport.write(answer)


def main() -> None:
    """Serves until killed."""
    arguments = told(size=int, delay=float)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Upload(arguments.size, arguments.delay), "127.0.0.1", arguments.port, backlog=512
        )
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
