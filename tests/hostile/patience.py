"""Time limits of the connectors while a story is told: minutes would be too long, and so would back-offs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

#: Seconds without an answer after which a try with a silent server gives up, and any other.
SHORT, LONG = 0.6, 20.0


#: Where the stores' own clients wait between their tries.
_BACKING_OFF = (
    "google.api_core.retry.retry_unary",
    "google.api_core.retry.retry_base",
    "botocore.endpoint",
    "azure.core.pipeline.transport._base",
)


class _Clock:
    """The module `time`, but a sleep is over at once and counts as if it had lasted."""

    def __init__(self) -> None:
        self._slept = 0.0

    def sleep(self, seconds: float) -> None:
        self._slept += seconds
        time.sleep(min(seconds, 0.01))

    def monotonic(self) -> float:
        return time.monotonic() + self._slept

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def patience(*, silent: bool) -> Iterator[None]:
    """The limits for one try."""
    limit = SHORT if silent else LONG
    with contextlib.ExitStack() as stack:
        for target, value in {
            "outfeed.connectors.ssh.CONNECT_TIMEOUT": max(limit, 1.5),
            "outfeed.connectors.ssh_session.STALL_TIMEOUT": limit,
            "outfeed.connectors.ftp_session.STALL_TIMEOUT": limit,
            "outfeed.connectors.ftp_login.CONNECT_TIMEOUT": max(limit, 1.0),
            "outfeed.connectors.gcs.TIMEOUT": (limit, limit),
            "outfeed.connectors.s3_client.CONNECT_TIMEOUT": limit,
            "outfeed.connectors.s3_client.READ_TIMEOUT": limit,
            "outfeed.connectors.azure_client.CONNECT_TIMEOUT": limit,
            "outfeed.connectors.azure_client.READ_TIMEOUT": limit,
        }.items():
            stack.enter_context(mock.patch(target, value))
        clock = _Clock()
        for module in _BACKING_OFF:
            stack.enter_context(mock.patch(f"{module}.time", clock))
        yield
