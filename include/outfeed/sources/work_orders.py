"""Work orders with their analyses and images (document 000), from any engine that has the dataset's SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from outfeed.datasets import Statement, read_statement
from outfeed.errors import Action, TerminalError
from outfeed.sources.base import (
    Extracted,
    Inspector,
    OpenStaged,
    Progress,
    Reader,
    RecordRejected,
    Source,
)
from outfeed.sources.engine import Copy
from outfeed.sources.engines import open_engine

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials
    from outfeed.plan import Part

TIMELINE = "work-orders-timeline"

#: What the document names (DX-141).
LEVELS = frozenset({"error", "information", "warning"})

_EXTENSION = re.compile(r"(\.[a-z0-9_-]+){1,3}")
_LONGEST_EXTENSION = 32

#: Distinct remarks that an inspector keeps apart.
_MOST_REMARKS = 100


class WorkOrdersSource(Source, Reader):
    """Reads the work orders of one site: one consistent snapshot per site, the same bytes each time."""

    type: ClassVar[str] = "work-orders"

    def __init__(self, url: str, credentials: Credentials, *, max_parallel: int = 2) -> None:
        super().__init__(url, credentials, max_parallel=max_parallel)
        self._engine = open_engine(url, credentials, max_parallel)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Itself: each site has a snapshot of its own."""
        yield self

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        """All work orders of the site whose update (or else create) date lies in the window (DX-100).

        The lines are in the order of that date, then of the id (D37).

        Raises:
            TransientError: the database can't be reached or dropped the connection.
            TerminalError: it refused the login, a permission or the dataset's SQL; it knows no such site.
        """
        parameters = {
            "site_id": part.subject,
            "start": self._engine.instant(part.start),
            "end": self._engine.instant(part.end),
        }
        with self._engine.snapshot() as snapshot:
            ((unplaced,),) = snapshot.rows(self._statement(part, "unplaced"), parameters)
            noticed = snapshot.rows(self._statement(part, "noticed"), parameters)
            records = self._statement(part, part.mode)
            copies = [
                Copy(records, piece, f"records-{number:03}.jsonl")
                for number, piece in enumerate(snapshot.pieces(part.dataset, parameters))
            ]
            copied = snapshot.copy(copies, open_staged, progress)
            if not any(piece.rows for piece in copied):
                self._require_known(part, snapshot.rows(self._statement(part, "known_site"), parameters))
            images = None
            # A states file names one image per work item; an image that was analysed but that no file
            # names would be an orphan at the customer's (DX-056, DX-068).
            if part.images and part.mode == TIMELINE:
                names = Copy(self._statement(part, "images"), parameters, "images.txt")
                (listed,) = snapshot.copy([names], open_staged, progress)
                images = listed.path
        return Extracted(
            rows=sum(piece.rows for piece in copied),
            bytes=sum(piece.bytes for piece in copied),
            segments=tuple(piece.path for piece in copied),
            images=images,
            unplaced=int(unplaced),
            longest_query_seconds=snapshot.longest,
            noticed={str(what): int(count) for what, count in noticed},
        )

    def _require_known(self, part: Part, found: list[tuple[Any, ...]]) -> None:
        """An empty file for a mistyped site would look like a quiet day for ever."""
        ((known,),) = found
        if not known:
            raise TerminalError(
                f"the platform knows no site {part.subject}",
                where=part.key,
                action=Action.ENGINEER,
                remedy="correct site_id in the customer's YAML, or have the site created in the platform",
            )

    def inspector(self, part: Part) -> WorkOrderInspector:
        """See the base class."""
        return WorkOrderInspector(part.subject)

    def _statement(self, part: Part, name: str) -> Statement:
        return read_statement(part.dataset, self._engine.name, name)


class WorkOrderInspector(Inspector):
    """Images of a work order, and the checks that its schema can't make (D31, D36, XX-07)."""

    def __init__(self, site_id: str) -> None:
        super().__init__()
        self._site_id = site_id
        self._safe_extensions: set[str] = set()

    def images(self, record: dict[str, Any]) -> list[str]:
        """One name per input that has a file extension.

        Raises:
            RecordRejected: another site or none; an input without an id; an extension that would not be
                safe in a path.
        """
        site_id = record["site_id"]
        if site_id != self._site_id:
            raise RecordRejected(
                "/site_id: is null, so the record has no folder"
                if site_id is None
                else "/site_id: is another site than the one that was exported"
            )
        names: list[str] = []
        checks: list[dict[str, Any]] = []
        for work_item in record["work_items"]:
            for entry in work_item["input"]:
                input_id, extension = entry["id"], entry["file_extension"]
                if input_id is None:
                    raise RecordRejected("/work_items/*/input/*/id: is null, so its image has no name")
                if extension:
                    if extension not in self._safe_extensions:
                        self._check_extension(extension)
                    names.append(input_id + extension)
                if entry["data_conformity"]:
                    checks += entry["data_conformity"]
        for check in checks:
            if check["level"] not in LEVELS:
                self._remark(check["level"])
        return names

    def _check_extension(self, extension: str) -> None:
        if len(extension) > _LONGEST_EXTENSION or not _EXTENSION.fullmatch(extension):
            raise RecordRejected(
                "/work_items/*/input/*/file_extension: is no lower-case extension with its dot"
            )
        self._safe_extensions.add(extension)

    def _remark(self, level: str | None) -> None:
        """Counts a level that the document does not name; it is kept as it is (DX-141)."""
        if level is None or level.lower() in LEVELS:
            return
        text = f"data_conformity level {level[:40]!r} is not error, information or warning"
        if text not in self.noticed and len(self.noticed) >= _MOST_REMARKS:
            text = "other data_conformity levels than error, information or warning"
        self.noticed[text] += 1
