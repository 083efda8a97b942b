"""This machine's own disk, which fails when it is armed."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from outfeed.connectors import local
from tests.hostile.armed import Armed

_ERRORS = {"full": errno.ENOSPC, "denied": errno.EACCES, "fail": errno.EIO, "lost": errno.EIO}


def _fail(kind: str) -> None:
    raise OSError(_ERRORS[kind], os.strerror(_ERRORS[kind]))


class _Os:
    """The module `os` as the connector sees it."""

    def __init__(self, armed: Armed) -> None:
        self._armed = armed

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def link(self, old: Any, new: Any) -> None:
        fault = self._armed.take("link", what=str(new))
        if fault is not None and fault.kind == "race":
            self._armed.take_name(str(new))
        elif fault is not None and fault.kind != "lost":
            _fail(fault.kind)
        os.link(old, new)
        if fault is not None and fault.kind == "lost":
            _fail("lost")

    def fsync(self, handle: int) -> None:
        fault = self._armed.take("fsync")
        if fault is not None:
            _fail(fault.kind)
        os.fsync(handle)


class _File:
    """A file that is written."""

    def __init__(self, real: Any, armed: Armed) -> None:
        self._real = real
        self._armed = armed

    def write(self, data: bytes) -> int:
        fault = self._armed.take("write")
        if fault is None:
            return int(self._real.write(data))
        self._real.write(data[: len(data) // 2])
        if fault.kind != "short write":
            _fail(fault.kind)
        return len(data)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextlib.contextmanager
def hostile_disk(armed: Armed) -> Iterator[None]:
    """What the local connector writes, links and makes may fail."""
    really_open, really_mkdir = pathlib.Path.open, pathlib.Path.mkdir

    def opened(self: pathlib.Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        file = really_open(self, mode, *arguments, **named)
        return _File(file, armed) if mode == "xb" else file

    def made(self: pathlib.Path, *arguments: Any, **named: Any) -> None:
        fault = armed.take("mkdir", what=str(self)) if "delivered" in self.parts else None
        if fault is not None:
            _fail(fault.kind)
        really_mkdir(self, *arguments, **named)

    with (
        mock.patch.object(local, "os", _Os(armed)),
        mock.patch.object(pathlib.Path, "open", opened),
        mock.patch.object(pathlib.Path, "mkdir", made),
    ):
        yield
