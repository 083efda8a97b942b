"""Judges blocks in processes of their own, because Python judges on one core at a time.

Plain child processes that talk over their standard streams: a task may itself be a daemonic process,
which multiprocessing forbids to have children. A worker ends when its parent does.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from outfeed.contracts import Contract
from outfeed.errors import Action, TransientError
from outfeed.steps.block_check import Verdict, check_block

if TYPE_CHECKING:
    from outfeed.sources.base import Inspector

_LENGTH = struct.Struct(">Q")

#: Blocks that are with the workers or wait for their turn, for each worker.
_BLOCKS_PER_WORKER = 2


def check_blocks(
    dataset: str, inspector: Inspector, blocks: Iterable[bytes], workers: int
) -> Iterator[tuple[bytes, Verdict]]:
    """Each block with its verdict, in the order of the blocks.

    Afterwards the inspector has noticed what its copies in the workers have.

    Raises:
        TransientError: a worker died.
    """
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    started: list[_Worker] = []
    pending: deque[tuple[bytes, Future[Verdict]]] = deque()

    def judge(block: bytes) -> Verdict:
        worker = idle.get()
        try:
            return worker.judge(block)
        finally:
            idle.put(worker)

    try:
        for _ in range(workers):
            started.append(_Worker(dataset, inspector))
            idle.put(started[-1])
        with ThreadPoolExecutor(workers, "check-worker") as pool:
            try:
                for block in blocks:
                    pending.append((block, pool.submit(judge, block)))
                    if len(pending) > workers * _BLOCKS_PER_WORKER:
                        yield _first(pending)
                while pending:
                    yield _first(pending)
            except BaseException:
                # Or else the pool would wait for blocks that nobody wants any more.
                for worker in started:
                    worker.kill()
                raise
        for worker in started:
            inspector.noticed.update(worker.finish())
    finally:
        for worker in started:
            worker.close()


def _first(pending: deque[tuple[bytes, Future[Verdict]]]) -> tuple[bytes, Verdict]:
    block, verdict = pending.popleft()
    return block, verdict.result()


class _Worker:
    """The parent's end of one worker."""

    def __init__(self, dataset: str, inspector: Inspector) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "outfeed.steps.check_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._send(pickle.dumps((dataset, inspector)))

    def judge(self, block: bytes) -> Verdict:
        """The verdict on a block."""
        self._send(block)
        verdict: Verdict = self._receive()
        return verdict

    def finish(self) -> Counter[str]:
        """Ends the worker; gives what its inspector has noticed."""
        self._send(b"")
        noticed: Counter[str] = self._receive()
        return noticed

    def kill(self) -> None:
        """Ends the worker, whatever it is doing."""
        self._process.kill()

    def close(self) -> None:
        """Leaves nothing of the worker behind."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]  # both are pipes
        self._process.wait()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            _write(self._process.stdin, data)
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        data = _read(self._process.stdout)
        if data is None:
            raise self._died()
        return pickle.loads(data)  # noqa: S301 - from our own process

    def _died(self) -> TransientError:
        return TransientError(
            f"a process that checks records ended with code {self._process.wait()}",
            action=Action.OPERATOR,
            remedy="see the task's log; if the code is -9, the worker host is short of memory",
        )


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """One message; None if the other end is gone."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    data = stream.read(length)
    return data if len(data) == length else None


def main() -> None:
    """The worker: an inspector first, then blocks, then an empty message; each is answered."""
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb")
    # Whatever else is printed goes to the task's log, not between the answers.
    os.dup2(2, 1)
    first = _read(requests)
    if first is None:
        return
    dataset, inspector = pickle.loads(first)  # noqa: S301 - from our own parent
    contract = Contract.load(dataset)
    while block := _read(requests):
        _write(replies, pickle.dumps(check_block(contract, inspector, block)))
    if block is not None:
        _write(replies, pickle.dumps(inspector.noticed))


if __name__ == "__main__":
    main()
