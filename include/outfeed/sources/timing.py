"""How long statements took, for the record of what the database bore."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timed:
    """Knows the slowest statement."""

    def __init__(self) -> None:
        #: Seconds that the slowest statement took.
        self.longest = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Notes how long the block took, if it was the slowest."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.longest = max(self.longest, time.monotonic() - started)
