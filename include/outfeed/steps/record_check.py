"""Checks staged records one by one: good ones go on with their bytes unchanged, others to quarantine."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from outfeed.contracts import Contract
from outfeed.plan import Part
from outfeed.sources.base import Inspector, OpenStaged, Progress
from outfeed.steps.block_check import Rejected, Verdict, check_block
from outfeed.steps.check_worker import check_blocks

_BLOCK_SIZE = 4 << 20
_BLOCKS_IN_FLIGHT = 4

#: Parts of at least so many bytes are judged by so many processes; starting them costs a moment.
_WORTH_WORKERS = 48 << 20
_WORKERS = 2

#: Reasons that are counted apart, and those of them that a summary names.
_MOST_REASONS = 1_000
_REASONS_SHOWN = 20

RECORDS = "records.jsonl"
QUARANTINE = "quarantine.jsonl"


class HashedFile:
    """Writes and hashes in a thread of its own, in order, while the caller goes on (design §8).

    A context manager; left without an error, all bytes are written and `sha256` is that of the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "hashed-file")
        self._pending: deque[Future[None]] = deque()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return self._sha256.hexdigest()

    def write(self, block: bytes) -> None:
        """Takes a block; waits if too many are under way; raises what an earlier one ran into."""
        self.bytes += len(block)
        self._pending.append(self._thread.submit(self._write, block))
        if len(self._pending) > _BLOCKS_IN_FLIGHT:
            self._pending.popleft().result()

    def _write(self, block: bytes) -> None:
        self._sha256.update(block)
        self._stream.write(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                while self._pending:
                    self._pending.popleft().result()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._stream.close()


class RecordCheck:
    """What became of the records of one part.

    Args:
        names: takes the image names of good records, many at a time.
    """

    def __init__(
        self,
        part: Part,
        inspector: Inspector,
        open_staged: OpenStaged,
        names: Callable[[list[str]], None],
    ) -> None:
        self._part = part
        self._inspector = inspector
        self._open_staged = open_staged
        self._names = names
        self._reasons: Counter[str] = Counter()
        self._quarantine: BinaryIO | None = None
        self.read = 0
        self.rows = 0
        self.rejected = 0
        self.bytes = 0
        self.sha256 = ""
        self.records = ""
        self.quarantine: str | None = None

    @property
    def reasons(self) -> dict[str, int]:
        """The most frequent reasons and the numbers of records that have them."""
        return dict(self._reasons.most_common(_REASONS_SHOWN))

    def run(self, streams: Iterable[BinaryIO], expected: int, progress: Progress) -> None:
        """Checks all records; every one of them ends up in exactly one of the two files (design §4.2).

        Args:
            expected: bytes in the streams.
        """
        self.records, stream = self._open_staged(RECORDS)
        try:
            with HashedFile(stream) as valid:
                for block, verdict in self._judged(_blocks(streams), expected):
                    valid.write(verdict.good(block))
                    self._account(block, verdict)
                    self.read += len(block)
                    progress(self.rows + self.rejected, self.read)
        finally:
            if self._quarantine is not None:
                self._quarantine.close()
        self.bytes, self.sha256 = valid.bytes, valid.sha256

    def _judged(self, blocks: Iterator[bytes], expected: int) -> Iterator[tuple[bytes, Verdict]]:
        if expected >= _WORTH_WORKERS:
            return check_blocks(self._part.dataset, self._inspector, blocks, _WORKERS)
        contract = Contract.load(self._part.dataset)
        return ((block, check_block(contract, self._inspector, block)) for block in blocks)

    def _account(self, block: bytes, verdict: Verdict) -> None:
        self.rows += verdict.rows
        self._names(verdict.names)
        for rejected in verdict.rejected:
            self._reject(block[rejected.start : rejected.end], rejected)

    def _reject(self, line: bytes, rejected: Rejected) -> None:
        if self._quarantine is None:
            self.quarantine, self._quarantine = self._open_staged(QUARANTINE)
        entry: dict[str, Any] = {
            "part": self._part.key,
            "reasons": rejected.reasons,
            "record": line.decode(errors="backslashreplace"),
        }
        self._quarantine.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
        self.rejected += 1
        for kind in rejected.kinds:
            known = kind in self._reasons or len(self._reasons) < _MOST_REASONS
            self._reasons[kind if known else "other reasons"] += 1


def _blocks(streams: Iterable[BinaryIO]) -> Iterator[bytes]:
    """The content of the streams in blocks of whole lines."""
    for stream in streams:
        with stream:
            rest = b""
            while block := stream.read(_BLOCK_SIZE):
                end = block.rfind(b"\n") + 1
                if end:
                    yield rest + block[:end]
                    rest = block[end:]
                else:
                    rest += block
            if rest:
                yield rest
