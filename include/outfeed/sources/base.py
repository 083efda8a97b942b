"""What every source is: reads one part of a dataset into staging, and knows the images that records name."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from outfeed.formats.columns import Column

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials
    from outfeed.plan import Part


class RecordRejected(Exception):  # noqa: N818 - a verdict on a record, not a fault of the program
    """A record that obeys its schema but can't be delivered; the text is the quarantine's reason."""


@dataclasses.dataclass(frozen=True)
class Extracted:
    """What `Source.extract` read.

    Attributes:
        rows: records written, over all segments.
        bytes: bytes written, over all segments.
        segments: staged files whose concatenation, in order, is the part.
        images: staged file of image names, one per line, analysed in the window; None if not asked for.
        unplaced: records in the window that no site can claim (no site id, or no date), for the report.
        longest_query_seconds: of the statements that ran, for the record of what the database bore.
        noticed: what the source changed on the way, with counts, for the report (D3).
        late: of the rows, those of earlier windows that were committed after those had been read, or, where
            the source can't tell, may have been.
        read_state: what the source calls the state that was read, so that the next delta finds late rows.
        read_at: when that was, in RFC 3339, by the source's clock.
        columns: of a table, in order; empty for records that a JSON Schema describes.
    """

    rows: int
    bytes: int
    segments: tuple[str, ...]
    images: str | None
    unplaced: int
    longest_query_seconds: float
    noticed: dict[str, int] = dataclasses.field(default_factory=dict)
    late: int = 0
    read_state: str | None = None
    read_at: str | None = None
    columns: tuple[Column, ...] = ()


#: Opens a new staged file by name: gives its path relative to the run's staging, and the stream.
OpenStaged = Callable[[str], tuple[str, BinaryIO]]
#: Told now and then how many rows and bytes have been read so far.
Progress = Callable[[int, int], None]


class Inspector(ABC):
    """Looks at each record that obeys the schema. One per part; not shared between threads."""

    def __init__(self) -> None:
        #: What was noticed but kept: for example levels that the document does not name (DX-141).
        self.noticed: Counter[str] = Counter()

    @abstractmethod
    def images(self, record: dict[str, Any]) -> list[str]:
        """Names, below the image store and `inputs/`, of the images that a record refers to (DX-067, DX-107).

        Raises:
            RecordRejected: if the record can't be delivered, for example an input without an id (D31).
        """


class Reader(ABC):
    """Reads parts while a task works on them."""

    @abstractmethod
    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        """Reads one part completely, in a fixed order.

        The same source data gives the same bytes (XX-02, D37). Memory does not grow with the part.

        Raises:
            TransientError: the database can't be reached or dropped the connection.
            TerminalError: login or permission refused, or the dataset's SQL is refused.
        """


class Source(ABC):
    """Reads parts of a dataset.

    Args:
        url: SQLAlchemy-style URL without password is never logged; drivers are chosen by its scheme.
        max_parallel: database connections that one task may open.
    """

    type: ClassVar[str]

    def __init__(self, url: str, credentials: Credentials, *, max_parallel: int = 2) -> None:
        self.url = url
        self.credentials = credentials
        self.max_parallel = max_parallel

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reader]:
        """A reader for the parts of one task; it connects when it first reads, and leaves nothing open."""

    def inspector(self, part: Part) -> Inspector:
        """A fresh inspector for a part's records, if its format has records."""
        raise NotImplementedError(f"{part.dataset} has no records to inspect")
