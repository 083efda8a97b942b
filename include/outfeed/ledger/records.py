"""What the ledger holds, as plain values."""

from __future__ import annotations

import dataclasses
import datetime as dt
from enum import StrEnum

from outfeed.errors import Action


class RunState(StrEnum):
    """State of a run, a part or an attempt."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class FileKind(StrEnum):
    """What a delivered file is."""

    DATA = "data"
    IMAGE = "image"
    SIDECAR = "sidecar"
    MANIFEST = "manifest"
    MARKER = "marker"


class FileState(StrEnum):
    """Whether a file is at the destination."""

    DELIVERED = "delivered"
    MISSING = "missing"  # a referenced image that its store does not have (yet)


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run of one customer's export."""

    customer: str
    run_id: str
    reason: str
    start: dt.datetime
    end: dt.datetime
    dataset: str
    config_sha256: str
    plan_uri: str
    state: RunState = RunState.RUNNING
    error: str | None = None
    created_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Fence:
    """Proof of being the newest try of one piece of work: (run, step, target)."""

    customer: str
    run_id: str
    step: str
    target: str
    token: int


@dataclasses.dataclass(frozen=True)
class PartRecord:
    """What happened to one part, up to now. Rows read = rows valid + rows rejected, checked on recording."""

    key: str
    state: RunState
    rows_read: int
    rows_valid: int | None = None
    rows_rejected: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    unplaced: int = 0
    images: int = 0
    images_missing: int = 0
    longest_query_seconds: float | None = None
    #: Rows of earlier windows that were committed after those had been read.
    rows_late: int = 0
    #: What the source called its state when the part was read.
    read_state: str | None = None
    error: str | None = None
    action: Action | None = None


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """One file at one destination. `path` is its actual name, `logical_path` its name as revision 1."""

    customer: str
    location: str
    path: str
    logical_path: str
    revision: int
    kind: FileKind
    state: FileState
    run_id: str
    destination: str
    part: str | None = None
    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    verified: str | None = None
    supersedes: str | None = None
    delivered_at: dt.datetime | None = None
    #: Of an encrypted file: how, and what it is when decrypted; `bytes` and `sha256` are as it lies there.
    encryption: str | None = None
    plain_bytes: int | None = None
    plain_sha256: str | None = None
    #: Of an encrypted file that has a sidecar; of others it is known from the content.
    md5: str | None = None


@dataclasses.dataclass(frozen=True)
class DeliveryRecord:
    """One complete delivery of a run to one destination: the receipt."""

    customer: str
    destination: str
    location: str
    run_id: str
    reason: str
    start: dt.datetime
    end: dt.datetime
    dataset: str
    revision: int
    manifest_path: str | None
    files: int
    images: int
    images_missing: int
    rows: int
    rows_rejected: int
    bytes: int
    supersedes: str | None = None
    warning: str | None = None
    delivered_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class PreflightStep:
    """One step of a preflight at a place, as it was found."""

    step: str
    state: str
    message: str
    setting: str | None = None
    run_id: str = ""
    at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class PublicKey:
    """The public half of a key that we log in with: when we made it, and which places accepted it when."""

    public_key: str
    made_at: dt.datetime | None
    accepted_by: dict[str, dt.datetime]

    @property
    def accepted_at(self) -> dt.datetime | None:
        """When any place accepted it last."""
        return max(self.accepted_by.values(), default=None)


@dataclasses.dataclass(frozen=True)
class AttemptRecord:
    """One try of one step on one target (a group of parts, or a destination)."""

    customer: str
    run_id: str
    step: str
    target: str
    attempt: str
    token: int
    state: RunState
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    rows_done: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None
    error: str | None = None
    action: Action | None = None
