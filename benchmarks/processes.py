"""Sides of a benchmark in processes of their own, so that memory is that of one task and nothing is warm."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def in_process(side: Callable[..., T], *args: Any) -> T:
    """Runs one side in a fresh process and gives its result.

    Raises:
        RuntimeError: the process ended without one.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, side, args))
    process.start()
    sender.close()
    try:
        result: T = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{side} ended without a result") from None
    finally:
        process.join()
    return result


def _child(sender: Any, side: Callable[..., Any], args: tuple[Any, ...]) -> None:
    sender.send(side(*args))


def peak_megabytes(workers: int = 0) -> float:
    """The most memory that this process has held, and as many workers as large as the largest one.

    The process's own `ru_maxrss` would be that of the process which started it, where that was larger.
    """
    status = Path("/proc/self/status").read_text()
    own = int(status.partition("VmHWM:")[2].split()[0])
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + workers * child) / 1024
