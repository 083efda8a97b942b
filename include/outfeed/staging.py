"""Storage between tasks: any fsspec location, never a worker's own disk (design §2).

Layout: `<root>/<customer>/<run key>/<step>/<part key>/try=<attempt>/…`. A try writes only into its own
folder and then publishes one small pointer file, `done.json`, that names what it made. The first pointer
wins, so two tries at once can't mix, and a try that dies leaves nothing that a later step would read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Protocol, cast

import orjson

from outfeed.errors import Action, TerminalError

#: Bytes per request to an object store, and those of them that lines are cut from at a time.
_BLOCK_SIZE = 8 << 20
_BUFFER_SIZE = 1 << 20


class StoragePath(Protocol):
    """The part of pathlib's interface that staging needs: UPath and Airflow's ObjectStoragePath have it."""

    def __truediv__(self, key: str) -> StoragePath: ...
    def exists(self) -> bool: ...
    def open(self, mode: str = "rb", **kwargs: Any) -> Any: ...
    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None: ...
    def read_bytes(self) -> bytes: ...


def path_component(text: str) -> str:
    """`text` as one path component: anything but letters, digits, `._=+~-` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._=+~-]", "_", text)


class Staging:
    """The folder of one run. All methods are safe to call again.

    Args:
        root: folder of the run, on a file system that all workers share.
        attempt: token of the try that writes; part of every path that it writes.
    """

    def __init__(self, root: Any, attempt: str) -> None:
        self.root = root
        self.attempt = path_component(attempt)

    def path(self, relative: str) -> Any:
        """The path of something that a finished step named in its pointer."""
        return self.root / relative

    def open_write(self, step: str, part: str, name: str) -> tuple[str, BinaryIO]:
        """Opens a new file in this try's folder; returns its path relative to the run and the stream."""
        relative = f"{step}/{path_component(part)}/try={self.attempt}/{name}"
        target = self.root / relative
        _make_parent(target)
        return relative, target.fs.open(target.path, "wb", block_size=_BLOCK_SIZE)

    def open_read(self, relative: str) -> BinaryIO:
        """Opens what a finished step named, for reading. Raises FileNotFoundError."""
        target = self.root / relative
        stream: BinaryIO = target.fs.open(target.path, "rb", block_size=_BLOCK_SIZE)
        # Files of object stores lack half of a file's methods, such as readlines with a limit.
        return stream if _is_local(target) else io.BufferedReader(cast("Any", stream), _BUFFER_SIZE)

    def open_chain(self, relatives: Sequence[str]) -> BinaryIO:
        """Opens files that a finished step named as one stream: their concatenation, in order."""
        chained = ChainedReader(self.open_read(relative) for relative in relatives)
        return io.BufferedReader(chained, _BUFFER_SIZE)

    def publish(self, step: str, part: str, result: dict[str, Any]) -> dict[str, Any]:
        """Makes `result` the outcome of a step for a part unless another try was first; gives the winner."""
        target = self.root / f"{step}/{path_component(part)}/done.json"
        _make_parent(target)
        created = _create(target, orjson.dumps(result, option=orjson.OPT_SORT_KEYS))
        return result if created else self._read(target)

    def result(self, step: str, part: str) -> dict[str, Any] | None:
        """The published outcome of a step for a part, or None if it has not finished."""
        target = self.root / f"{step}/{path_component(part)}/done.json"
        try:
            return self._read(target)
        except FileNotFoundError:
            return None

    @staticmethod
    def _read(target: Any) -> dict[str, Any]:
        loaded: dict[str, Any] = orjson.loads(target.fs.cat_file(target.path))
        return loaded


class ChainedReader(io.RawIOBase):
    """Streams one after the other; each is opened when the one before has ended."""

    def __init__(self, streams: Iterator[BinaryIO]) -> None:
        self._streams = streams
        self._stream: BinaryIO | None = next(streams, None)

    def readable(self) -> bool:
        """See the base class."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See the base class."""
        while self._stream is not None:
            block = self._stream.read(len(buffer))
            if block:
                buffer[: len(block)] = block
                return len(block)
            self._stream.close()
            self._stream = next(self._streams, None)
        return 0

    def close(self) -> None:
        """See the base class."""
        if self._stream is not None:
            self._stream.close()
        super().close()


def _is_local(target: Any) -> bool:
    return target.fs.protocol in ("file", ("file", "local"))


def _make_parent(target: Any) -> None:
    """Object stores have no folders: asked for one, s3fs and gcsfs would create a bucket that is missing."""
    if _is_local(target):
        target.parent.mkdir(parents=True, exist_ok=True)


def _create(target: Any, content: bytes) -> bool:
    """Writes a small file in one operation if it does not exist; False if it does."""
    if _is_local(target):
        return _create_local(target.path, content)
    try:
        target.fs.pipe_file(target.path, content, mode="create")
    except FileExistsError:
        return False
    except (TypeError, NotImplementedError) as error:
        raise TerminalError(
            f"the staging file system {target.fs.protocol!r} can't create a file conditionally",
            where=str(target),
            action=Action.ENGINEER,
            remedy="stage on file://, s3:// or gs://",
        ) from error
    except OSError:
        # Most S3 stores refuse without naming the condition, which s3fs reports as an invalid argument.
        if not target.fs.exists(target.path):
            raise
        return False
    return True


def _create_local(path: str, content: bytes) -> bool:
    """Writes aside, then links: the name appears with its whole content or not at all."""
    import os
    import tempfile
    from pathlib import Path

    final = Path(path)
    handle, temporary = tempfile.mkstemp(dir=final.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, final)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink(missing_ok=True)
    return True
