"""The images of a part: each name once, in order, with what the image store has of it.

Names wait on the worker's own scratch disk, in small buckets, so that memory does not grow with them.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from outfeed.errors import Action, TerminalError
from outfeed.steps.parts import storage_error

#: An image's name, `<uuid><extension>`; anything else is no name that may become a path (DX-107).
_NAME = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(\.[a-z0-9_-]+){1,3}"
)

#: Names by their first characters: a bucket holds a 256th of all.
_BUCKET_CHARACTERS = 2
_NAMES_IN_MEMORY = 50_000

_LOOKUP_THREADS = 16
_NAMES_PER_LOOKUP = 100
_LOOKUPS_IN_FLIGHT = 64

#: Gives an image's size by its name; None if the store does not have it.
SizeOf = Callable[[str], int | None]


class NameSet:
    """A set of image names that lives on disk. A context manager; its files are gone afterwards."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="outfeed-names-")
        self._buckets: dict[str, list[str]] = defaultdict(list)
        self._waiting = 0
        #: Names that were refused because they are no names of images.
        self.unusable = 0

    def add(self, names: list[str]) -> None:
        """Adds names that are known to be well-formed."""
        for name in names:
            self._buckets[name[:_BUCKET_CHARACTERS]].append(name)
        self._waiting += len(names)
        if self._waiting >= _NAMES_IN_MEMORY:
            self._spill()

    def add_lines(self, stream: BinaryIO) -> None:
        """Adds the names of a staged list, one per line, refusing those that are no image names."""
        while lines := stream.readlines(1 << 20):
            names = [line.decode(errors="replace").rstrip("\n") for line in lines]
            good = [name for name in names if _NAME.fullmatch(name)]
            self.unusable += len(names) - len(good)
            self.add(good)

    def __iter__(self) -> Iterator[str]:
        """Each name once, in order."""
        self._spill()
        for bucket in sorted(Path(self._folder.name).iterdir(), key=lambda path: bytes.fromhex(path.name)):
            yield from sorted(set(bucket.read_text(encoding="utf-8").split("\n")[:-1]))

    def _spill(self) -> None:
        for start, names in self._buckets.items():
            # In hex, because some file systems can't tell `AB` from `ab`.
            with (Path(self._folder.name) / start.encode().hex()).open("a", encoding="utf-8") as stream:
                stream.write("".join(f"{name}\n" for name in names))
        self._buckets.clear()
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def write_image_list(
    names: Iterable[str], store: Any, stream: BinaryIO, progress: Callable[[int], None]
) -> tuple[int, int]:
    """Writes one JSON line per image: name, `present` or `missing`, bytes. None is left out.

    Returns:
        Numbers of present and of missing images.

    Raises:
        OutfeedError: the store could not say of some image whether it has it, or there is no store.
    """
    size_of = _sizes(store)
    totals = {"present": 0, "missing": 0}
    with stream, ThreadPoolExecutor(_LOOKUP_THREADS, "image-store") as pool:
        iterator = iter(names)
        pending: deque[Future[list[dict[str, Any]]]] = deque()

        def finish_one() -> None:
            entries = pending.popleft().result()
            stream.write(b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries))
            for entry in entries:
                totals[entry["state"]] += 1
            progress(totals["present"] + totals["missing"])

        try:
            while batch := list(itertools.islice(iterator, _NAMES_PER_LOOKUP)):
                pending.append(pool.submit(_look_up, size_of, batch))
                if len(pending) >= _LOOKUPS_IN_FLIGHT:
                    finish_one()
            while pending:
                finish_one()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if totals["missing"] and not totals["present"] and not store.fs.exists(store.path):
        raise TerminalError(
            "the image store does not exist, or holds nothing at all",
            where=str(store.path),
            action=Action.OPERATOR,
            remedy="correct source.images_uri, or mount the store",
        )
    return totals["present"], totals["missing"]


def image_sizes(store: Any, names: Sequence[str]) -> list[int | None]:
    """The bytes of each image, None for one that the store does not have; many are asked for at once.

    Raises:
        OutfeedError: the store could not say of some image whether it has it.
    """
    with ThreadPoolExecutor(_LOOKUP_THREADS, "image-store") as pool:
        return list(pool.map(_sizes(store), names))


def _look_up(size_of: SizeOf, names: list[str]) -> list[dict[str, Any]]:
    sizes = ((name, size_of(name)) for name in names)
    return [
        {"name": name, "state": "missing" if size is None else "present", "bytes": size}
        for name, size in sizes
    ]


def _sizes(store: Any) -> SizeOf:
    protocol = store.fs.protocol
    local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
    # Said once: asked for each of a million names, a path object costs more than the look-up.
    folder = str(store.path).rstrip("/")
    return partial(_local_size, folder) if local else partial(_remote_size, store.fs, folder)


def _local_size(folder: str, name: str) -> int | None:
    try:
        found = os.stat(f"{folder}/{name}")  # noqa: PTH116 - a third of pathlib's cost
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, "image store") from error
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _remote_size(file_system: Any, folder: str, name: str) -> int | None:
    try:
        return int(file_system.info(f"{folder}/{name}")["size"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, f"image store, {folder}/{name}") from error
