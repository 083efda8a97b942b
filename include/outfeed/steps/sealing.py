"""Files as a destination wants them encrypted: once per run, so that every try sends the same bytes.

Each encryption of the same content gives other bytes. So what is new is decided by the content; what is sent
lies in staging, where the first try that publishes it wins, and its digests are those of the encrypted form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, BinaryIO

from outfeed.connectors.base import DestinationOptions
from outfeed.errors import Action, TransientError
from outfeed.ledger.records import FileRecord
from outfeed.plan import Part
from outfeed.steps.context import RunContext

_NAME = "sealed"


def is_known(record: FileRecord, packaged: dict[str, Any]) -> bool:
    """Whether a delivered file has the content of a package, however it was encrypted."""
    return bool((record.plain_sha256 or record.sha256) == packaged["sha256"])


def sealed_package(
    run: RunContext, options: DestinationOptions, part: Part, packaged: dict[str, Any]
) -> dict[str, Any]:
    """A package in the form in which the destination gets it: the same, or encrypted.

    What only the encrypted form has is the key `sealed`: the fields of a `FileRecord` that tell of both.
    """
    if options.encryption is None:
        return packaged

    def opened() -> BinaryIO:
        return run.staging.open_chain(packaged["segments"])

    made = seal(run, options, part.key, opened)
    if made["plain_sha256"] != packaged["sha256"]:
        raise TransientError(
            f"staging holds other bytes than the {packaged['bytes']} that were validated",
            where=part.key,
            action=Action.OPERATOR,
            remedy="clear the run from the task 'plan' on; if it happens again, check the staging storage",
        )
    digest = {"md5": made["md5"]} if "md5" in packaged["details"] else {}
    return packaged | {
        "segments": [made["path"]],
        "bytes": made["bytes"],
        "sha256": made["sha256"],
        "details": packaged["details"] | digest,
        "sealed": sealed_fields(made) | digest,
    }


def seal(
    run: RunContext, options: DestinationOptions, name: str, opened: Callable[[], BinaryIO]
) -> dict[str, Any]:
    """The encrypted form of a content, made now or by an earlier try of this run.

    Returns:
        `path` in staging, `bytes`, `sha256` and `md5` of it, `encryption`, `plain_bytes`, `plain_sha256`.

    Raises:
        OSError: of the content.
        TerminalError: nobody can encrypt for the customer's key.
    """
    if options.encryption is None:
        raise ValueError(f"{options.name} wants nothing encrypted")
    step = f"encrypt/{options.name}"
    key = hashlib.sha256(name.encode()).hexdigest()
    known = run.staging.result(step, key)
    if known is not None:
        return known
    with opened() as source:
        relative, target = run.staging.open_write(step, key, _NAME)
        reader, writer = _Measured(source), _Measured(target)
        with target:
            options.encryption.stream().encrypt(reader, writer)
    made = {
        "path": relative,
        "bytes": writer.bytes,
        "sha256": writer.sha256.hexdigest(),
        "md5": writer.md5.hexdigest(),
        "encryption": options.encryption.type,
        "plain_bytes": reader.bytes,
        "plain_sha256": reader.sha256.hexdigest(),
    }
    return run.staging.publish(step, key, made)


def sealed_fields(made: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `FileRecord` that only an encrypted file has."""
    return {name: made[name] for name in ("encryption", "plain_bytes", "plain_sha256")}


class _Measured:
    """Passes a stream on, and knows size and digests of what went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.bytes = 0

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        return self._noted(self._stream.read(size))

    def write(self, block: bytes, /) -> int:
        """Takes the whole block."""
        return self._stream.write(self._noted(block))

    def _noted(self, block: bytes) -> bytes:
        self.sha256.update(block)
        self.md5.update(block)
        self.bytes += len(block)
        return block
