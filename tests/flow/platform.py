"""A platform's database for tests: the reference tables of work orders, on either engine."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from outfeed.connectors.base import Credentials, FilenameStyle
from outfeed.demo_data.database import open_database
from outfeed.plan import Part
from outfeed.sources import open_source
from outfeed.sources.base import Extracted, Source

SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
OTHER_SITE = "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"
TIMELINE, STATES = "work-orders-timeline", "work-orders-states"

START = dt.datetime(2025, 3, 16, tzinfo=dt.UTC)
END = dt.datetime(2025, 3, 17, tzinfo=dt.UTC)
NOON = dt.datetime(2025, 3, 16, 12, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


def uuid(number: int) -> str:
    """A UUID that sorts by its number."""
    return f"00000000-0000-4000-8000-{number:012}"


def text(instant: dt.datetime | None) -> str | None:
    """An instant as both engines take it."""
    return None if instant is None else instant.astimezone(dt.UTC).isoformat(timespec="microseconds")


def make_part(
    mode: str = TIMELINE,
    *,
    site_id: str = SITE,
    start: dt.datetime = START,
    end: dt.datetime = END,
    images: bool = False,
) -> Part:
    """A part of a platform."""
    return Part(
        key=f"{mode}/{site_id}",
        dataset="work-orders",
        mode=mode,
        subject=site_id,
        start=start,
        end=end,
        stems=dict.fromkeys(FilenameStyle, f"{site_id}/data/{mode}/window"),
        extension=".json",
        media_type="application/x-ndjson",
        images=images,
    )


@dataclasses.dataclass
class Staged:
    """What an extraction wrote, and what it said."""

    extracted: Extracted
    content: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines, read by the standard library."""
        assert self.content == b"" or self.content.endswith(b"\n")
        return [json.loads(line) for line in self.content.split(b"\n")[:-1]]

    @property
    def ids(self) -> list[Any]:
        """Ids of the orders, in the order of the lines."""
        return [record["id"] for record in self.records]

    @property
    def images(self) -> list[str]:
        """The staged image names, sorted."""
        assert self.extracted.images is not None
        return sorted(Path(self.extracted.images).read_text(encoding="utf-8").splitlines())


class Platform:
    """A database with rows; keys are given by the order of calls."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self._keys = {name: itertools.count(1) for name in ("order", "item", "input", "data", "job")}
        self._tries = itertools.count()
        self._waiting: list[tuple[str, Sequence[Any]]] = []
        with open_database(url) as database, database.loading():
            pass
        for site_id in (SITE, OTHER_SITE):
            self.site(site_id)

    @property
    def source_url(self) -> str:
        """The URL as a source gets it: without login and password."""
        parts = urlsplit(self.url)
        return (
            self.url
            if parts.scheme == "sqlite"
            else self.url.replace(f"{parts.netloc.rpartition('@')[0]}@", "")
        )

    @property
    def credentials(self) -> Credentials:
        """Login and password."""
        parts = urlsplit(self.url)
        return Credentials(login=parts.username, password=parts.password)

    def source(self, max_parallel: int = 2) -> Source:
        """The source under test."""
        self.flush()
        return open_source("work-orders", self.source_url, self.credentials, max_parallel)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Runs a statement with `?` for parameters, and commits."""
        self._waiting.append((sql, parameters))
        self.flush()

    def flush(self) -> None:
        """Commits the rows that were added."""
        if self._waiting:
            with open_database(self.url) as database:
                for sql, parameters in self._waiting:
                    database.execute(sql, parameters)
            self._waiting.clear()

    def _insert(self, table: str, **values: Any) -> None:
        names = ",".join(f'"{name}"' for name in values)
        marks = ",".join("?" * len(values))
        self._waiting.append((f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values())))

    def site(self, site_id: str) -> None:
        """Adds a site, if it is not there yet when the rows are committed."""
        statement = "INSERT INTO site (id, customer, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        self._waiting.append((statement, [site_id, "acme", site_id[:8]]))

    def order(
        self,
        id: str | None,
        *,
        updated: dt.datetime | None = None,
        created: dt.datetime | None = None,
        site_id: str | None = SITE,
        **values: Any,
    ) -> int:
        """Adds a work order; returns its key."""
        pk = next(self._keys["order"])
        dates = {"create_date": text(created), "update_date": text(updated)}
        self._insert("work_order", pk=pk, id=id, site_id=site_id, **dates, **values)
        return pk

    def item(self, order: int, name: str = "duct", position: int = 0, id: str | None = None) -> int:
        """Adds a work item; returns its key."""
        pk = next(self._keys["item"])
        self._insert("work_item", pk=pk, work_order_pk=order, id=id or uuid(pk), name=name, position=position)
        return pk

    def input(
        self,
        item: int,
        id: str | None,
        *,
        created: dt.datetime | None = NOON,
        analysed: dt.datetime | None = NOON,
        extension: str | None = ".png",
        metadata: str | None = None,
    ) -> int:
        """Adds an input; returns its key."""
        pk = next(self._keys["input"])
        dates = {"create_date": text(created), "analysis_date": text(analysed)}
        self._insert(
            "input", pk=pk, work_item_pk=item, id=id, file_extension=extension, metadata=metadata, **dates
        )
        return pk

    def check(self, input: int, position: int = 0, **values: Any) -> None:
        """Adds a check of the raw data."""
        self._insert(
            "data_conformity", pk=next(self._keys["data"]), input_pk=input, position=position, **values
        )

    def job(self, input: int, position: int = 0, **values: Any) -> None:
        """Adds the outcome of a task."""
        self._insert(
            "job_conformity", pk=next(self._keys["job"]), input_pk=input, position=position, **values
        )

    def open_staged(self, name: str) -> tuple[str, BinaryIO]:
        """Stages in the folder, each call apart."""
        path = self.folder / f"{next(self._tries):04}-{name}"
        return str(path), path.open("wb")

    def extract(self, part: Part | None = None, *, max_parallel: int = 2) -> Staged:
        """Extracts a part and reads what was staged."""
        source = self.source(max_parallel)
        extracted = source.extract(part or make_part(), self.open_staged, lambda rows, count: None)
        content = b"".join(Path(segment).read_bytes() for segment in extracted.segments)
        assert extracted.bytes == len(content)
        assert extracted.rows == content.count(b"\n")
        return Staged(extracted, content)
