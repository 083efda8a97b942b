"""What the ledger knows of deliveries: files, receipts, and the mails that announced them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, and_, case, literal, not_, select

from outfeed.ledger import tables
from outfeed.ledger.access import (
    Access,
    fields_of,
    given,
    key_columns,
    matching,
    now,
    other_columns,
    values_of,
)
from outfeed.ledger.records import DeliveryRecord, Fence, FileKind, FileRecord, FileState

#: Names in one IN clause; SQLite and PostgreSQL both allow many more.
_BATCH = 500


class Deliveries(Access):
    """Records what was sent and announced: what was delivered never becomes missing (DX-090)."""

    # -- files

    def files(self, customer: str, location: str, paths: Sequence[str]) -> dict[str, FileRecord]:
        """What is known of the files at these actual paths, in any state."""
        found: dict[str, FileRecord] = {}
        with self._database.read() as connection:
            for first in range(0, len(paths), _BATCH):
                wanted = select(tables.files).where(
                    tables.files.c.customer == customer,
                    tables.files.c.location == location,
                    tables.files.c.path.in_(paths[first : first + _BATCH]),
                )
                found.update((row.path, _file(row)) for row in connection.execute(wanted))
        return found

    def revisions(self, customer: str, location: str, logical_path: str) -> list[FileRecord]:
        """The delivered revisions of a file, the first one first."""
        c = tables.files.c
        found = self._rows(
            tables.files,
            c.customer == customer,
            c.location == location,
            c.logical_path == logical_path,
            c.state == FileState.DELIVERED,
            order=(c.revision, c.path),
        )
        return [_file(row) for row in found]

    def record_files(self, fence: Fence, files: Sequence[FileRecord]) -> None:
        """Records all of the files or none; what was delivered never becomes missing (DX-090).

        A file that was delivered before with the same content keeps its time.
        """
        if not files:
            return
        recorded = now()
        # One order for all writers, so that two of them can't wait for each other.
        in_order = sorted(files, key=lambda record: (record.location, record.path))
        values = [values_of(record) | _delivered_at(record, recorded) for record in in_order]
        c = tables.files.c
        statement = self._insert(tables.files)
        new = statement.excluded
        was_delivered = c.state == FileState.DELIVERED
        changes: dict[str, Any] = {name: new[name] for name in other_columns(tables.files)}
        changes["delivered_at"] = case(
            (and_(was_delivered, c.sha256 == new.sha256), c.delivered_at), else_=new.delivered_at
        )
        upsert = statement.on_conflict_do_update(
            index_elements=key_columns(tables.files),
            set_=changes,
            where=not_(and_(was_delivered, new.state == FileState.MISSING)),
        )
        with self._fenced(fence) as connection:
            connection.execute(upsert, values)

    def files_of_run(self, customer: str, run_id: str, location: str | None = None) -> list[FileRecord]:
        """The files that a run recorded last, by place and path."""
        c = tables.files.c
        conditions = [c.customer == customer, c.run_id == run_id, *given((location, c.location.__eq__))]
        return [_file(row) for row in self._rows(tables.files, *conditions, order=(c.location, c.path))]

    def images_of_run(self, customer: str, run_id: str, location: str) -> Iterator[FileRecord]:
        """The images that a run recorded at a place, by path, as a stream: there may be a million."""
        c = tables.files.c
        wanted = select(tables.files).where(
            c.customer == customer, c.run_id == run_id, c.location == location, c.kind == FileKind.IMAGE
        )
        with self._database.read() as connection:
            rows = connection.execution_options(yield_per=1000).execute(wanted.order_by(c.path))
            for row in rows:
                yield _file(row)

    def outstanding_images(self, customer: str, location: str, limit: int = 10_000) -> list[FileRecord]:
        """Referenced images that their store did not have, by path: at most `limit` of them."""
        c = tables.files.c
        # The literal lets the databases see that the partial index holds every such row.
        missing = c.state == literal(FileState.MISSING.value, literal_execute=True)
        found = self._rows(
            tables.files,
            c.customer == customer,
            c.location == location,
            missing,
            order=(c.path,),
            limit=limit,
        )
        return [_file(row) for row in found]

    # -- receipts

    def record_delivery(self, fence: Fence, delivery: DeliveryRecord) -> None:
        """Records a receipt, once per place, run and revision: saying it again changes nothing (XX-03)."""
        values = values_of(delivery) | {"delivered_at": delivery.delivered_at or now()}
        with self._fenced(fence) as connection:
            connection.execute(self._insert(tables.deliveries).values(**values).on_conflict_do_nothing())

    def deliveries(self, customer: str | None = None, *, limit: int | None = None) -> list[DeliveryRecord]:
        """Receipts, the newest first."""
        c = tables.deliveries.c
        found = self._rows(
            tables.deliveries,
            *given((customer, c.customer.__eq__)),
            order=(c.delivered_at.desc(), c.customer, c.location, c.run_id, c.revision.desc()),
            limit=limit,
        )
        return [DeliveryRecord(**fields_of(row)) for row in found]

    def deliveries_of_window(
        self, customer: str, location: str, dataset: str, start: dt.datetime, end: dt.datetime
    ) -> list[DeliveryRecord]:
        """Receipts of one window at one place, the first revision first."""
        c = tables.deliveries.c
        found = self._rows(
            tables.deliveries,
            c.customer == customer,
            c.location == location,
            c.dataset == dataset,
            c.start == start,
            c.end == end,
            order=(c.revision, c.delivered_at),
        )
        return [DeliveryRecord(**fields_of(row)) for row in found]

    # -- mail

    def notified(self, customer: str, run_id: str, kind: str, address: str) -> bool:
        """Whether a mail was sent already (DX-042)."""
        key = {"customer": customer, "run_id": run_id, "kind": kind, "address": address}
        return bool(self._rows(tables.notifications, *matching(tables.notifications, key)))

    def record_notification(self, fence: Fence, kind: str, address: str) -> None:
        """Records that the newest try sent a mail.

        A try that is killed between sending and recording has its mail sent once more by the next try:
        better twice, under the same Message-ID, than never.
        """
        values = {"customer": fence.customer, "run_id": fence.run_id, "kind": kind, "address": address}
        with self._fenced(fence) as connection:
            self._upsert(connection, tables.notifications, [values | {"sent_at": now()}])


def _delivered_at(record: FileRecord, recorded: dt.datetime) -> dict[str, dt.datetime]:
    """When a delivered file was delivered, if its record leaves that to the ledger."""
    unset = record.state is FileState.DELIVERED and record.delivered_at is None
    return {"delivered_at": recorded} if unset else {}


def _file(row: Row[Any]) -> FileRecord:
    return FileRecord(**fields_of(row) | {"kind": FileKind(row.kind), "state": FileState(row.state)})
