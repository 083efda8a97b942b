"""What every connector is: options, capabilities and one promise, complete or absent.

A connector is one module with one class, found by its `type` name in `outfeed.connectors`. Callers know
connectors only by what stands here; differences are declared in `Capabilities` (design §1, §4).
"""

from __future__ import annotations

import builtins
import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import PurePosixPath
from types import TracebackType
from typing import Annotated, Any, BinaryIO, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from outfeed.connectors.encryption import Encryption
from outfeed.errors import Action, OutfeedError, TerminalError

#: Bytes per read of a source stream: large enough that Python touches batches, not records (design §8).
BLOCK_SIZE = 1 << 20

#: Airflow connection ids and our own names: no path, no template, no space.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
# A count in the pattern would cost 18 MB and 70 ms in every process: it is unrolled over all of Unicode.
ConnectionId = Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=200)]


def _names(value: Any) -> Any:
    """Names in lower case; a text is read as document 002 writes lists: `a,b`, and `all` or empty for all."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, (list, tuple)):
        return value
    lowered = [name.lower() if isinstance(name, str) else name for name in value]
    return [] if lowered == ["all"] else lowered


#: Names of entities; none means all of them (VI-C12, VI-D07).
NameList = Annotated[tuple[str, ...], BeforeValidator(_names, json_schema_input_type=list[str] | str)]

#: What `__exit__` receives first; inside a connector the bare word `type` is its registered name.
ExceptionType = type[BaseException]


class FilenameStyle(StrEnum):
    """How a window is written in a file name (D12, §5.4 of the contradictions)."""

    DEEPOMATIC = "deepomatic"
    PORTABLE = "portable"


@dataclasses.dataclass(frozen=True)
class OurSide:
    """What a customer must know of us to let us in; nothing of it is secret.

    Attributes:
        public_key: one line of OpenSSH, the public half of the key pair that we log in with.
        address_ranges: the networks that we connect from, in CIDR notation.
        google_project: the Google Cloud project of our service accounts.
    """

    public_key: str | None = None
    address_ranges: tuple[str, ...] = ()
    google_project: str | None = None


@dataclasses.dataclass(frozen=True)
class LinkOffer:
    """What is delivered waits in a store of ours, and each recipient is mailed a link to it (DX-040).

    Attributes:
        days: for which a link works.
        store: URI of the store, without secrets.
    """

    recipients: tuple[str, ...]
    days: int
    store: str


class DestinationOptions(BaseModel):
    """What the customer YAML says of one destination; each connector adds its own fields.

    No field ever holds a secret: secrets come from the Airflow connection named by `connection` (XX-06).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Whether we log in with a key pair from the connection's extra; `outfeed keys` makes and rotates it.
    key_login: ClassVar[bool] = False
    #: Whether files land below a base folder, which can separate testing from production (DX-055).
    has_base: ClassVar[bool] = True

    name: Name = Field(description="Name of this destination, unique within the customer.")
    export_images: bool = Field(
        default=False, description="Deliver the images that belong to the exported data (DX-053, DX-075)."
    )
    filename_style: FilenameStyle = Field(
        default=FilenameStyle.DEEPOMATIC,
        description="`deepomatic` writes 2025-03-16_00:00:00_…; `portable` has no colon (SharePoint).",
    )
    delivery: NameList = Field(
        default=(),
        description="Entities that are delivered here, as a list or `a,b`; `all` or none is every one.",
    )
    parallel: int = Field(default=8, ge=1, le=64, description="Files in flight at once.")
    encryption: Encryption | None = Field(
        default=None, description="Data files and images are encrypted for the customer's public key."
    )

    def receives(self, entity: str) -> bool:
        """Whether an entity's files are delivered here (VI-D07, VI-D16, VI-D20)."""
        return not self.delivery or entity in self.delivery

    @property
    def encrypted_suffix(self) -> str:
        """What the names of data files and images end in here besides: nothing unless they are encrypted."""
        return self.encryption.suffix if self.encryption else ""

    @property
    def connection_id(self) -> str | None:
        """The Airflow connection that holds this destination's secrets, if it needs any."""
        value = getattr(self, "connection", None)
        return str(value) if value else None

    def location(self) -> str:
        """A URI without secrets that names this place; the ledger knows deliveries by it.

        Two destinations with the same location are the same place; a changed host or folder is another.
        """
        raise NotImplementedError

    def pool_name(self) -> str:
        """The Airflow pool that bounds work against this destination's host."""
        raise NotImplementedError

    def link_offer(self) -> LinkOffer | None:
        """Whom to mail a link to what is delivered; None for a place of the customer's own."""
        return None

    def placed(self, root: str) -> Self:
        """The same for one delivery, whose files go to a folder of their own; only with a `link_offer`."""
        raise NotImplementedError

    def warning(self) -> str | None:
        """What each delivery's record must warn of, such as an unpinned host key (D20)."""
        return None

    def name_problem(self, customer: str) -> str | None:
        """Why a customer's name does not serve at this kind of destination; None if it does (D33)."""
        return None

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """What we hand over and what the customer prepares: lines by title, in order (DX-057, DX-080)."""
        return {}


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Plain values of an Airflow connection, resolved by the operator. Never logged, never repr'd.

    Attributes:
        sealing_key: a secret that only workers have; what is sealed with it may lie in the ledger.
    """

    login: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)
    host: str | None = dataclasses.field(default=None, repr=False)
    port: int | None = dataclasses.field(default=None, repr=False)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    sealing_key: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What a connector can promise, declared rather than asked for by name.

    Attributes:
        atomic: how a file becomes visible: `rename` of a temporary name, one `put`, or `none` (then only
            the completion marker says that a delivery is complete).
        conditional_create: the destination itself refuses to create over an existing file.
        checksum: the algorithm whose digest the destination reports, or None.
        temporary: what is delivered is ours to remove after a while: a delivery holds only what it brought,
            and what was removed is delivered again when somebody asks for it.
    """

    atomic: Literal["rename", "put", "none"]
    conditional_create: bool
    checksum: Literal["sha256", "crc32c", "md5"] | None
    temporary: bool = False


class UnfinishedUpload(Protocol):
    """What a later try, on any worker, must know to continue the upload of one file with one content.

    The state is a short text that the connector alone makes and understands: JSON with a version in it, and
    no secret in the clear. One that it can't use (of another version, of another place, of an upload that is
    gone or holds other bytes) is discarded with a line in the log, and the file begins anew: it never fails a
    delivery. Whoever gives the object clears it when the file is delivered.
    """

    def load(self) -> str | None:
        """What the last try saved, or None."""

    def save(self, state: str) -> None:
        """Keeps a state until it is cleared; about once per 64 MiB or ten seconds, not for each block.

        Raises:
            SupersededError: a newer try has begun; this one must stop.
        """

    def clear(self) -> None:
        """Forgets the state; raises as `save` does."""


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """One file to deliver.

    Attributes:
        path: POSIX path below the destination's base.
        open: gives a fresh readable stream of the whole content at each call; may raise FileNotFoundError.
        size: bytes, when known; a stream that ends early or late is then an error.
        sha256: hex digest, when known; a stream with another digest is then an error.
        unfinished: by what a later try continues this upload; None if it need not. Its size is then known.
    """

    path: str
    open: Callable[[], BinaryIO]
    size: int | None = None
    sha256: str | None = None
    content_type: str = "application/octet-stream"
    unfinished: UnfinishedUpload | None = None


@dataclasses.dataclass(frozen=True)
class Delivered:
    """One file that is at the destination, complete and verified.

    Attributes:
        outcome: `created` by this call, or `identical`: the same bytes were there already.
        verified: how equality was established, `size` at least, then a checksum's name or `read-back`.
    """

    path: str
    bytes: int
    sha256: str
    outcome: Literal["created", "identical"]
    verified: str


@dataclasses.dataclass(frozen=True)
class Undelivered:
    """One file that is not at the destination under its final name, and why. Others go on."""

    path: str
    error: OutfeedError


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """What the destination says of a file: path below the base, bytes, and a digest where it has one."""

    path: str
    bytes: int
    checksum: str | None = None


#: The steps of all preflights in their one order. A connector has those that apply to it.
PREFLIGHT_STEPS = (
    "credentials",
    "resolve",
    "connect",
    "host key",
    "tls",
    "authenticate",
    "sftp",
    "bucket",
    "list",
    "mkdir",
    "write",
    "size",
    "rename",
    "no overwrite",
    "read back",
    "delete",
    "clean up",
    "public url",
    "mail server",
    "recipients",
)


class CheckState(StrEnum):
    """Outcome of one preflight step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Check:
    """One named step of a preflight, with a sentence that its reader can act on (DX-058 to DX-061).

    Attributes:
        step: one of `PREFLIGHT_STEPS`.
        setting: what the step found out, as lines for the customer's YAML (the host key to pin).
        error: why the step failed.
        blocks: whether a delivery is impossible without the step; else it only promises less.
    """

    step: str
    state: CheckState
    message: str
    setting: str | None = None
    error: OutfeedError | None = dataclasses.field(default=None, compare=False, repr=False)
    blocks: bool = True


class Connector(ABC):
    """Delivers files to one destination. A context manager: connecting happens on entry.

    Implementations MUST keep these promises (design §4):

    - a reader of the destination never sees a partial file under its final name where the server can
      rename or puts atomically;
    - a file is created, never overwritten: other content under the name gives `DestinationConflict`;
    - size, and the checksum where the destination reports one, are compared after each file;
    - no file lands outside the base; a path with `..` or a leading `/` is refused;
    - whatever an earlier, killed attempt left under temporary names is removed when it is met;
    - messages hold no secret.

    Args:
        options: the destination's options from the customer YAML.
        credentials: plain values of its Airflow connection.
        attempt: a token unique to this try; temporary names carry it. In `<work>.<try>`, what stands before
            the last dot names the work: an older try of the same work is stopped by removing its temporary
            files, while those of other work may belong to a delivery that runs right now.
    """

    type: ClassVar[str]
    #: Of the kind; after entry, of the server that was met.
    capabilities: Capabilities
    options_model: ClassVar[builtins.type[DestinationOptions]]

    def __init__(self, options: Any, credentials: Credentials, *, attempt: str) -> None:
        self.credentials = credentials
        self.attempt = attempt

    @property
    def accepted_key(self) -> str | None:
        """After a login with a key pair, the public half that was accepted, as `<type> <base64>`."""
        return None

    @abstractmethod
    def __enter__(self) -> Self:
        """Connects; raises a TransientError or TerminalError that names the step that failed."""

    @abstractmethod
    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes this attempt's temporary names as far as possible, and disconnects."""

    @abstractmethod
    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """Delivers files, several at once, and yields one result for each, in any order.

        Pulls from `files` lazily, so that memory does not grow with their number. A fault of one file
        (gone from its source, conflict, refused name) is an `Undelivered`; a fault of the destination as
        a whole (connection lost, login refused, disk full) raises.
        """

    def abandon(self, path: str, state: str) -> None:  # noqa: B027 - most leave nothing outside their folder
        """Removes what an upload left that no try will continue, as far as we may (see `UnfinishedUpload`).

        Raises:
            TransientError: the destination can't be reached; a later delivery tries again.
        """

    @abstractmethod
    def stat(self, path: str) -> RemoteFile | None:
        """What is under `path` now, or None."""

    @abstractmethod
    def preflight(self) -> Iterator[Check]:
        """Tries, in named steps, all that a delivery will need; leaves nothing behind."""


def safe_relative_path(path: str) -> str:
    """`path`, guaranteed to stay below a base directory.

    Raises:
        TerminalError: for an absolute path, `..`, a backslash, a NUL or an empty component.
    """
    pure = PurePosixPath(path)
    bad = pure.is_absolute() or not path or any(part in ("", ".", "..") for part in path.split("/"))
    if bad or "\\" in path or re.search(r"[\x00-\x1f]", path):
        raise TerminalError(
            f"refused to deliver under the path {path!r}",
            action=Action.ENGINEER,
            remedy="a delivered path must be relative and free of '..', empty parts and control characters",
        )
    return path
