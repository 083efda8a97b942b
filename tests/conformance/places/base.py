"""What every kind of destination says of itself, and how it is looked at without our connectors."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pytest

from outfeed.connectors import Connector, open_connector
from outfeed.connectors.base import Check, Credentials, DestinationOptions, Outgoing
from tests.servers.small_disk import give_room, small_disk

#: What a server may refuse us besides creating files: to replace one, to remove, to rename, to make folders.
Right = Literal["overwrite", "delete", "rename", "mkdir"]

#: What a server may not offer at all: to rename, to sync, to tell a size.
Ability = Literal["rename", "fsync", "size"]

NO_FOLDERS = "keys have no folders: none is made"
NO_RENAME = "nothing is renamed: an object appears with its last request"
_ONE_PROTOCOL = "one protocol with one set of rules: nothing to find out"

_numbers = itertools.count()


def unique(word: str) -> str:
    """A name that no other test of this session uses."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


class Place(ABC):
    """One empty destination.

    Attributes:
        fixture: of tests/servers/fixtures.py, that starts the server.
        evidence: how much a passed test says of what customers have: the product itself, the vendor's
            stand-in, somebody's, or ours.
        verified: how a created file is verified there.
        largest: bytes of one file that the server can be asked to take, and why no more; None for any.
        meaningless: rights that have no meaning there, and what holds instead.
        abilities: what a server of the kind can lack, and how files then appear; none is asked for
            if empty, for the reason in `nothing_to_probe`.
    """

    fixture: ClassVar[str]
    evidence: ClassVar[str]
    options: DestinationOptions
    credentials: Credentials
    verified: str
    largest: ClassVar[tuple[int, str] | None] = None
    meaningless: ClassVar[Mapping[Right, str]] = {}
    abilities: ClassVar[Mapping[Ability, Literal["rename", "none"]]] = {}
    nothing_to_probe: ClassVar[str] = _ONE_PROTOCOL

    @classmethod
    def start(cls, request: pytest.FixtureRequest) -> Self:
        """A new place on the session's server."""
        return cls(request.getfixturevalue(cls.fixture))  # type: ignore[call-arg]

    @abstractmethod
    def product(self) -> str:
        """Name and version of the server."""

    def connector(self, attempt: str = "work.1", **changes: Any) -> Connector:
        """A connector that has not been entered yet."""
        options = type(self.options).model_validate(self.options.model_dump() | changes)
        return open_connector(options, self.credentials, attempt=attempt)

    def deliver(self, *files: Outgoing, attempt: str = "work.1", **changes: Any) -> dict[str, Any]:
        """Delivers in one session; the results by path."""
        with self.connector(attempt, **changes) as connector:
            return {result.path: result for result in connector.deliver(files)}

    def preflight(self) -> list[Check]:
        """All steps of the connector's preflight."""
        return list(self.connector().preflight())

    # -- a look that does not use our connectors

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """All below the base by the server's own listing, temporary and unfinished names included."""

    def names(self) -> set[str]:
        """The names of `sizes`."""
        return set(self.sizes())

    @abstractmethod
    def blocks(self, path: str) -> Iterator[bytes]:
        """Content of a file below the base, piece by piece."""

    def read(self, path: str) -> bytes:
        """Content of a file below the base."""
        return b"".join(self.blocks(path))

    def sha256(self, path: str) -> str:
        """Of a file below the base."""
        digest = hashlib.sha256()
        for block in self.blocks(path):
            digest.update(block)
        return digest.hexdigest()

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """Creates a file as somebody else would."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Removes a file as somebody else would."""

    # -- what the server refuses

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        """A place of this kind whose server refuses us a right, and how that was brought about."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of the right to {right}")
        yield

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        """A place that is soon full: it, bytes that do not fit, how to give it room, how it was made."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of a full disk")
        yield

    @contextlib.contextmanager
    def lacking(self, ability: Ability) -> Iterator[tuple[Place, Callable[[], int], str]]:
        """A place whose server does not offer something; how often it was asked for it; how that was made."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of lacking {ability}")
        yield


class FolderPlace(Place):
    """A place whose files this machine sees."""

    folder: Path

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if not path.is_dir():
                found[name] = path.stat().st_size
            elif not any(path.iterdir()):
                found[f"{name}/"] = 0
        return found

    def blocks(self, path: str) -> Iterator[bytes]:
        with (self.folder / path).open("rb") as stream:
            while block := stream.read(1 << 20):
                yield block

    def put(self, path: str, data: bytes) -> None:
        """As root, so that the server's user may not change it."""
        file = self.folder / path
        file.write_bytes(data)
        file.chmod(0o444)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        self.folder.mkdir(exist_ok=True)
        with small_disk(self.folder, 4):
            yield self, 10_000_000, lambda: give_room(self.folder, 40), "a file system of 4 MB"

    def _others_files_are_safe(self) -> str:
        """Lets everybody create files in the folder, and nobody touch those of others."""
        os.chown(self.folder, 0, 0)
        self.folder.chmod(0o1777)
        return "a file of another user, read-only, in a folder with the sticky bit"
