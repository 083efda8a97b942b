"""Uploads of large files that have not ended, so that a later try continues them (XX-03)."""

from __future__ import annotations

import dataclasses
import datetime as dt

from sqlalchemy import ColumnElement, exists, or_, select

from outfeed.ledger.access import Access, key_columns, matching
from outfeed.ledger.records import Fence, FileState
from outfeed.ledger.tables import files, unfinished_uploads

#: What no try has touched for so long is given up; stores remove unfinished uploads after as long by custom.
KEPT = dt.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class UploadKey:
    """One content under way to one path: other content never continues it."""

    customer: str
    location: str
    path: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class UnfinishedRecord:
    """An upload that has begun, and what its connector needs to continue or to end it."""

    key: UploadKey
    state: str
    run_id: str
    updated_at: dt.datetime


class UnfinishedUploads(Access):
    """What the ledger knows of uploads under way. Every method is one transaction."""

    def state(self, key: UploadKey) -> str | None:
        """What the last try saved of an upload, or None."""
        with self._database.read() as connection:
            return connection.scalar(select(unfinished_uploads.c.state).where(*_same(key)))

    def save(self, fence: Fence, key: UploadKey, state: str, now: dt.datetime) -> None:
        """Keeps the state of an upload of the newest try."""
        values = dataclasses.asdict(key) | {"state": state, "run_id": fence.run_id, "updated_at": now}
        with self._fenced(fence) as connection:
            self._upsert(connection, unfinished_uploads, [values])

    def clear(self, fence: Fence, key: UploadKey) -> None:
        """Forgets an upload that has ended; the newest try may."""
        with self._fenced(fence) as connection:
            connection.execute(unfinished_uploads.delete().where(*_same(key)))

    def abandoned(self, customer: str, location: str, now: dt.datetime) -> list[UnfinishedRecord]:
        """Uploads to a place that no try will continue: untouched for a week, or their name is delivered."""
        c, f = unfinished_uploads.c, files.c
        delivered = exists().where(
            f.customer == c.customer,
            f.location == c.location,
            f.path == c.path,
            f.state == FileState.DELIVERED,
        )
        here = (c.customer == customer, c.location == location)
        return self._records(*here, or_(c.updated_at < now - KEPT, delivered))

    def stale(self, now: dt.datetime) -> list[UnfinishedRecord]:
        """Uploads that nobody has touched for a week, place by place."""
        return self._records(unfinished_uploads.c.updated_at < now - KEPT)

    def forget(self, record: UnfinishedRecord) -> bool:
        """Forgets a stale upload, and tells whether it did: not if a try has taken it up since."""
        unchanged = unfinished_uploads.c.updated_at == record.updated_at
        with self._database.write() as connection:
            found = connection.execute(unfinished_uploads.delete().where(*_same(record.key), unchanged))
        return found.rowcount > 0

    def _records(self, *conditions: ColumnElement[bool]) -> list[UnfinishedRecord]:
        c = unfinished_uploads.c
        order = (c.customer, c.location, c.path, c.sha256)
        return [
            UnfinishedRecord(
                UploadKey(**{name: row._mapping[name] for name in key_columns(unfinished_uploads)}),
                row.state,
                row.run_id,
                row.updated_at,
            )
            for row in self._rows(unfinished_uploads, *conditions, order=order)
        ]


def _same(key: UploadKey) -> list[ColumnElement[bool]]:
    return matching(unfinished_uploads, dataclasses.asdict(key))
