"""Faults that wait for their moment, and what has happened of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from tests.hostile.story import Fault


class Armed:
    """The faults of the try that runs now; asked by servers and proxies at every operation.

    Attributes:
        hits: what happened, in order.
        take_name: puts somebody else's file under a final name, given as the server calls it.
        flipped: how many bits were changed or lost on their way so far.
        told: sizes that a server has told of a name in this story, where it may tell another than is ours.
        crossed: names that two tries wrote to at once, which only a server without rename lets them.
    """

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.take_name: Callable[[str], None] = lambda name: None
        self.flipped = 0
        self.told: dict[str, set[int]] = {}
        self.crossed: set[str] = set()
        #: Names that were written in this try and not looked at since.
        self.fresh: set[str] = set()
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._counts: list[int] = []

    def begin(self) -> None:
        """Forgets the story before."""
        self.arm(())
        self.flipped = 0
        self.told.clear()
        self.crossed.clear()

    def arm(self, faults: Iterable[Fault]) -> None:
        """What may happen from now on, and nothing else."""
        with self._lock:
            self._waiting = list(faults)
            self.fresh.clear()
            self._counts = [0] * len(self._waiting)

    def take(self, op: str, kinds: tuple[str, ...] = (), what: str = "") -> Fault | None:
        """Counts an operation; the fault that happens at it, if one does."""
        with self._lock:
            for number, fault in enumerate(self._waiting):
                if fault.op != op or (kinds and fault.kind not in kinds):
                    continue
                self._counts[number] += 1
                if fault.after < self._counts[number] <= fault.after + fault.times:
                    self._note(f"{fault.kind} at {op} {what}")
                    return fault
        return None

    def of_bytes(self) -> list[Fault]:
        """The faults that happen after so many bytes."""
        with self._lock:
            return [fault for fault in self._waiting if not fault.op and fault.times == 1]

    def whole(self, kind: str) -> bool:
        """Whether a fault lasts for the whole try."""
        with self._lock:
            return any(fault.kind == kind and not fault.op and fault.times > 1 for fault in self._waiting)

    def spent(self, fault: Fault) -> bool:
        """Notes that a fault of bytes has happened; False if it had before."""
        with self._lock:
            if fault not in self._waiting:
                return False
            number = self._waiting.index(fault)
            del self._waiting[number], self._counts[number]
            self._note(f"{fault.kind} after {fault.after} bytes")
            return True

    def tell(self, name: str, size: int) -> None:
        """Notes what a server says of a name."""
        with self._lock:
            self.told.setdefault(name, set()).add(size)

    def note(self, text: str) -> None:
        """Notes what happened."""
        with self._lock:
            self._note(text)

    def _note(self, text: str) -> None:
        if len(self.hits) < 400:
            self.hits.append(text)
