"""What must hold whatever a server did, judged by the server's own storage and the ledger's own rows.

After each try: whatever has a final name is a whole file of ours or somebody else's own; what the ledger
calls delivered is there with these bytes; `_SUCCESS` is there only if all else is. After success: every
file is there once, in the ledger and in the manifest, and nothing besides. After a failure: the ledger says
so, why, and whose action it needs.

What docs/semantics.md does not promise is allowed exactly where it can't be: `Allowance`. What two tries
at once may do to each other is allowed where it was seen to happen: `Seen`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROBES = ".outfeed-preflight/"
_TEMPORARY = (".outfeed-tmp/", _PROBES)


@dataclasses.dataclass
class Expected:
    """What a story must bring to a place.

    Attributes:
        files: content by path, data and images.
        missing: images that the platform does not have.
        foreign: what somebody else put there, by path.
        raced: paths that somebody else took between our look and our rename.
    """

    files: dict[str, bytes]
    missing: set[str]
    foreign: dict[str, bytes] = dataclasses.field(default_factory=dict)
    raced: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Allowance:
    """Non-guarantees that apply (docs/semantics.md, 'Not promised').

    Attributes:
        overwrites: a rename replaces what somebody created since we looked.
        grows: a file is visible while it grows, and a lost try's part of it may stay; the retry delivers
            beside it.
        orphans: an older try went on beside a newer one.
        unseen_bits: bits changed or lost at a place where only sizes are compared.
    """

    overwrites: bool = False
    grows: bool = False
    orphans: bool = False
    unseen_bits: int = 0


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the proxies saw happen between server and tries, by path below the base.

    Attributes:
        told: sizes that the server told of a name. Where it was another than ours, because the file still
            grew or the server lied, a try rightly took the name for taken, though all of it is there by now.
        crossed: names without rename to which two tries wrote at once, each having found it free: what the
            slower does to it undoes what the faster has verified.
    """

    told: Mapping[str, set[int]] = dataclasses.field(default_factory=dict)
    crossed: frozenset[str] = frozenset()


@dataclasses.dataclass
class Verdict:
    """What is wrong after a try."""

    expected: Expected
    allowance: Allowance
    ledger: Path
    location: str
    held: dict[str, bytes]
    seen: Seen = dataclasses.field(default_factory=Seen)
    problems: list[str] = dataclasses.field(default_factory=list)

    def after_a_try(self) -> None:
        """What must hold at any time."""
        for path, content in self.held.items():
            if not path.startswith(_TEMPORARY):
                self._whole(path, content)
        for path, row in self._rows().items():
            self._is_there(path, row)
        for path in self.held:
            if path.endswith("/_SUCCESS"):
                self._complete(path)

    def after_success(self, *, undisturbed: bool) -> None:
        """What must hold when a try said that all is delivered."""
        rows = self._rows()
        deliveries = self._query("SELECT manifest_path FROM deliveries")
        if len(deliveries) != 1:
            self._wrong(f"success, but the ledger has {len(deliveries)} receipts")
        own = {f"{path.rpartition('/')[0]}/_SUCCESS" for (path,) in deliveries}
        markers = {path for path in self.held if path.endswith("/_SUCCESS")}
        if own - markers or any(not self._left_aside(path) for path in markers - own):
            self._wrong(f"success with the markers {sorted(markers)} instead of {sorted(own)}")
        for path in self.expected.files:
            places = self._places(path)
            recorded = [place for place in places if place in rows]
            if len(recorded) != 1 and not self._crossed(path):
                self._wrong(f"{path} is in the ledger at {recorded}, held at {places}")
            # A copy whose bits changed unseen is other content to the next try, which delivers beside it.
            copies = [place for place in places if self.held[place] == self.expected.files[path]]
            doubled = len(copies if self.allowance.unseen_bits else places) > 1
            if doubled and not self.allowance.grows and not self._doubled(path):
                self._wrong(f"{path} is there more than once: {places}")
        self._nothing_besides(rows, undisturbed=undisturbed)
        state = self._newest_attempt()
        if state[0] != "complete":
            self._wrong(f"success, but the ledger calls the newest try {state[0]}")
        missing = {path for (path,) in self._query("SELECT path FROM files WHERE state = 'missing'")}
        if missing != self.expected.missing:
            self._wrong(f"missing in the ledger {missing}, at the platform {self.expected.missing}")

    def after_failure(self) -> None:
        """What must hold when a try failed."""
        state, error, action = self._newest_attempt()
        if state != "failed" or not error or not action:
            self._wrong(f"a try failed, but the ledger says {state!r}, {error!r}, {action!r}")

    # -- single files

    def _wrong(self, text: str) -> None:
        self.problems.append(text)

    def _whole(self, path: str, content: bytes) -> None:
        if path in self.expected.foreign and content == self.expected.foreign[path]:
            return
        if path in self.expected.foreign and not (self.allowance.overwrites and path in self.expected.raced):
            self._wrong(f"somebody else's file {path} was overwritten")
            return
        if path.startswith("_outfeed/"):
            self._own_file(path, content)
            return
        logical, revision = _logical(path, self.expected.files)
        if logical is None:
            self._wrong(f"{path} is no file of ours ({len(content)} bytes)")
        elif not self._same(content, self.expected.files[logical]):
            if not self._growing(path, content, self.expected.files[logical]):
                self._wrong(f"{path} has {len(content)} bytes that are not {logical}")
        elif revision > 1 and not self._in_the_way(logical):
            self._wrong(f"{path} is a revision, but nothing was in the way")

    def _growing(self, path: str, content: bytes, ours: bytes) -> bool:
        """Whether content may be a part of ours; of two that wrote it at once, one may leave gaps."""
        if path in self.seen.crossed:
            pairs = zip(content, ours, strict=False)
            return len(content) <= len(ours) and all(byte in (0, own) for byte, own in pairs)
        return self.allowance.grows and ours.startswith(content)

    def _in_the_way(self, logical: str) -> bool:
        if logical in self.expected.foreign or self._told_another(logical):
            return True
        held = self.held.get(logical, b"")
        if self.allowance.grows and held != self.expected.files[logical]:
            return True
        # A file whose bits changed unseen is other content to the next try.
        return bool(self.allowance.unseen_bits) and held != self.expected.files[logical]

    def _told_another(self, path: str) -> bool:
        """Whether a try was told of another file under the name than is ours."""
        ours = len(self.expected.files.get(path, self.held.get(path, b"")))
        may_be = self.allowance.grows or self.allowance.orphans
        return may_be and bool(self.seen.told.get(path, set()) - {ours})

    def _left_aside(self, own_file: str) -> bool:
        """Whether an orphan completed a delivery folder of which the newer try had been told otherwise."""
        folder = own_file.rpartition("/")[0]
        return any(self._told_another(path) for path in self.held if path.startswith(f"{folder}/"))

    def _doubled(self, logical: str) -> bool:
        """Whether the newer try delivered beside a name that an orphan then gave to the same content."""
        raced = self.allowance.overwrites and self.allowance.orphans and logical in self.expected.raced
        return raced or self._told_another(logical)

    def _crossed(self, logical: str) -> bool:
        return any(_logical(path, self.expected.files)[0] == logical for path in self.seen.crossed)

    def _same(self, held: bytes, ours: bytes) -> bool:
        if held == ours:
            return True
        if not self.allowance.unseen_bits or len(held) != len(ours):
            return False
        bits = int.from_bytes(held, "big") ^ int.from_bytes(ours, "big")
        return bits.bit_count() <= self.allowance.unseen_bits

    def _own_file(self, path: str, content: bytes) -> None:
        """Manifest, lists and marker: complete texts that agree with each other."""
        name = path.rpartition("/")[2]
        whole = content.endswith(b"\n") or not content
        if self.allowance.unseen_bits or (self.allowance.grows and not whole):
            return
        if name == "MANIFEST":
            whole = whole and _loads(content) is not None
        elif name == "SHA256SUMS":
            for line in content.decode().splitlines():
                digest, _, listed = line.partition("  ")
                found = hashlib.sha256(self.held.get(listed, b"?")).hexdigest()
                if digest != found and listed not in self.seen.crossed:
                    self._wrong(f"{path} lists {listed} with another digest than it has")
        elif name == "_SUCCESS":
            manifest = self.held.get(f"{path.rpartition('/')[0]}/MANIFEST", b"")
            stated = (_loads(content) or {}).get("manifest_sha256")
            whole = whole and stated == hashlib.sha256(manifest).hexdigest()
        elif name != "IMAGES":
            self._wrong(f"{path} is no file of ours")
        if not whole:
            self._wrong(f"{path} is not whole ({len(content)} bytes)")

    def _is_there(self, path: str, row: tuple[Any, ...]) -> None:
        size, sha256 = row
        if path in self.seen.crossed:
            return
        held = self.held.get(path)
        if held is None:
            self._wrong(f"the ledger calls {path} delivered, but it is not there")
            return
        same = hashlib.sha256(held).hexdigest() == sha256 or bool(self.allowance.unseen_bits)
        if len(held) != size or not same:
            self._wrong(
                f"the ledger calls {path} {size} bytes {sha256[:8]}, but there are {len(held)} others"
            )

    def _places(self, logical: str) -> list[str]:
        """Where a whole copy of a file has a final name."""
        ours = self.expected.files[logical]
        return [
            path
            for path, content in self.held.items()
            if _logical(path, self.expected.files)[0] == logical
            and not path.startswith(_TEMPORARY)
            and path.partition("/")[0] != "_outfeed"
            and self._same(content, ours)
            and self.expected.foreign.get(path) != content
        ]

    def _complete(self, marker: str) -> None:
        """Everything that a marker speaks of is there."""
        for path in self.expected.files:
            if not self._places(path) and not self._crossed(path):
                self._wrong(f"{marker} is there, {path} is not")
        folder = marker.rpartition("/")[0]
        manifest = _loads(self.held.get(f"{folder}/MANIFEST", b""))
        if manifest is None:
            if not self.allowance.unseen_bits:
                self._wrong(f"{marker} is there without its manifest")
            return
        for entry in manifest["files"]:
            held = self.held.get(entry["path"])
            same = held is not None and hashlib.sha256(held).hexdigest() == entry["sha256"]
            if not same and not self.allowance.unseen_bits and entry["path"] not in self.seen.crossed:
                self._wrong(f"the manifest lists {entry['path']}, which is not there like that")

    def _nothing_besides(self, rows: dict[str, tuple[Any, ...]], *, undisturbed: bool) -> None:
        for path, content in self.held.items():
            if path in rows or content == self.expected.foreign.get(path):
                continue
            if path.startswith(_TEMPORARY):
                if undisturbed and not path.startswith(_PROBES):
                    self._wrong(f"{path} was left behind by an undisturbed try")
            elif not self.allowance.grows and not self.allowance.unseen_bits and not self._spare(path):
                self._wrong(f"{path} is there, but not in the ledger")

    def _spare(self, path: str) -> bool:
        """Whether a file is an orphan's, which can't record it, and the newer try had to go beside it."""
        logical, _ = _logical(path, self.expected.files)
        return self._left_aside(path) if logical is None else self._doubled(logical)

    # -- the ledger

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.ledger) as connection:
            return connection.execute(query).fetchall()

    def _rows(self) -> dict[str, tuple[Any, ...]]:
        found = self._query("SELECT path, bytes, sha256, location FROM files WHERE state = 'delivered'")
        return {path: (size, sha256) for path, size, sha256, location in found if location == self.location}

    def _newest_attempt(self) -> tuple[Any, ...]:
        found = self._query(
            "SELECT state, error, action FROM attempts WHERE step = 'upload' ORDER BY token DESC"
        )
        return found[0] if found else ("none", None, None)


def delivered(held: Mapping[str, bytes]) -> dict[str, bytes]:
    """What has a final name."""
    return {path: content for path, content in held.items() if not path.startswith(_TEMPORARY)}


def without_probes(held: Mapping[str, bytes]) -> dict[str, bytes]:
    """All but what a preflight that was cut off may have left."""
    return {path: content for path, content in held.items() if not path.startswith(_PROBES)}


def _logical(path: str, files: dict[str, bytes]) -> tuple[str | None, int]:
    """Which of our files a path holds, and which revision."""
    if path in files:
        return path, 1
    found = re.fullmatch(r"(.*)__r(\d+)(\.[^/]*|)", path, re.S)
    if found and found[1] + found[3] in files:
        return found[1] + found[3], int(found[2])
    return None, 0


def _loads(content: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(content))
    except ValueError:
        return None
