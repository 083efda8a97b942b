"""What was planned, extracted, delivered, verified and announced, fenced against older tries.

Every method is one transaction. A method that takes a `Fence` records nothing, and raises
`SupersededError`, once a newer try of the same work has begun (design §2; XX-03, XX-08).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, case, literal, not_, select
from sqlalchemy.dialects import postgresql, sqlite

from outfeed.errors import Action, SupersededError, TerminalError
from outfeed.ledger import tables
from outfeed.ledger.database import Database
from outfeed.ledger.links import Links
from outfeed.ledger.records import (
    AttemptRecord,
    DeliveryRecord,
    Fence,
    FileKind,
    FileRecord,
    FileState,
    PartRecord,
    PreflightStep,
    PublicKey,
    RunRecord,
    RunState,
)
from outfeed.ledger.unfinished import UnfinishedUploads

#: Names in one IN clause; SQLite and PostgreSQL both allow many more.
_BATCH = 500


def now() -> dt.datetime:
    """The time that the ledger writes down."""
    return dt.datetime.now(dt.UTC)


class Ledger:
    """The record of every run, part, file, delivery and mail; the truth of what was sent (design §6).

    Args:
        url: SQLAlchemy URL of an SQLite file or a PostgreSQL database.

    Raises:
        ConfigError: for another URL. Every method raises TransientError or TerminalError when the
            database fails; neither names its password.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        #: Temporary links and their use.
        self.links = Links(self._database, self._fenced)
        #: Uploads of large files that a later try can continue.
        self.unfinished = UnfinishedUploads(self._database, self._fenced)

    def migrate(self) -> None:
        """Creates or upgrades the tables; does nothing, quickly, when they are up to date."""
        self._database.migrate()

    def close(self) -> None:
        """Closes the database's connections."""
        self._database.close()

    # -- runs

    def start_run(self, run: RunRecord) -> None:
        """Records that a run is planned; a re-start makes it running again and keeps its creation time."""
        values = _values(run) | {
            "created_at": run.created_at or now(),
            "state": RunState.RUNNING,
            "error": None,
            "finished_at": None,
        }
        with self._database.write() as connection:
            self._upsert(connection, tables.runs, [values], keep=("created_at",))

    def finish_run(self, customer: str, run_id: str, state: RunState, error: str | None = None) -> None:
        """Records a run's outcome."""
        with self._database.write() as connection:
            found = connection.execute(
                tables.runs.update()
                .where(tables.runs.c.customer == customer, tables.runs.c.run_id == run_id)
                .values(state=state, error=error, finished_at=now())
            )
        if not found.rowcount:
            raise TerminalError(
                f"run {run_id!r} of {customer!r} was never started",
                where=self._database.place,
                action=Action.ENGINEER,
                remedy="the plan step must call start_run before anything else",
            )

    def run(self, customer: str, run_id: str) -> RunRecord | None:
        """One run, or None."""
        found = self._rows(tables.runs, tables.runs.c.customer == customer, tables.runs.c.run_id == run_id)
        return next((_run(row) for row in found), None)

    def runs(
        self,
        customer: str | None = None,
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
    ) -> list[RunRecord]:
        """Runs whose windows lie within `[start, end)`, the newest window first."""
        c = tables.runs.c
        conditions = _given((customer, c.customer.__eq__), (start, c.start.__ge__), (end, c.end.__le__))
        order = (c.start.desc(), c.created_at.desc(), c.customer)
        return [_run(row) for row in self._rows(tables.runs, *conditions, order=order)]

    # -- attempts and fencing

    def begin_attempt(self, customer: str, run_id: str, step: str, target: str, attempt: str) -> Fence:
        """Makes this try the newest of its work; what older ones still hold open ends as superseded."""
        work = {"customer": customer, "run_id": run_id, "step": step, "target": target}
        started = now()
        with self._database.write() as connection:
            statement = self._insert(tables.fences).values(**work, token=1)
            token: int = connection.scalars(
                statement.on_conflict_do_update(
                    index_elements=list(work), set_={"token": tables.fences.c.token + 1}
                ).returning(tables.fences.c.token)
            ).one()
            connection.execute(
                tables.attempts.update()
                .where(*_work(tables.attempts, work), tables.attempts.c.state == RunState.RUNNING)
                .values(state=RunState.FAILED, error="superseded", ended_at=started)
            )
            connection.execute(
                tables.attempts.insert().values(
                    **work,
                    token=token,
                    attempt=attempt,
                    state=RunState.RUNNING,
                    started_at=started,
                    rows_done=0,
                    bytes_done=0,
                )
            )
        return Fence(**work, token=token)

    def progress(self, fence: Fence, rows: int, bytes_done: int, bytes_total: int | None) -> None:
        """Records how far a try has come."""
        self._update_attempt(fence, rows_done=rows, bytes_done=bytes_done, bytes_total=bytes_total)

    def end_attempt(
        self, fence: Fence, state: RunState, error: str | None = None, action: Action | None = None
    ) -> None:
        """Records a try's outcome, and whose action ends a failure."""
        self._update_attempt(fence, state=state, error=error, action=action, ended_at=now())

    def attempts(self, customer: str, run_id: str) -> list[AttemptRecord]:
        """All tries of a run, in the order in which they began."""
        c = tables.attempts.c
        found = self._rows(
            tables.attempts,
            c.customer == customer,
            c.run_id == run_id,
            order=(c.started_at, c.step, c.target, c.token),
        )
        return [AttemptRecord(**_record(row) | _states(row)) for row in found]

    # -- parts

    def record_part(self, fence: Fence, part: PartRecord) -> None:
        """Records a part, with rows read = rows valid + rows rejected wherever both are known (design §4)."""
        if part.rows_valid is not None and part.rows_rejected is not None:
            accounted = part.rows_valid + part.rows_rejected
            if part.rows_read != accounted:
                raise TerminalError(
                    f"{part.rows_read} rows were read, but {part.rows_valid} are valid and "
                    f"{part.rows_rejected} are quarantined: {part.rows_read - accounted} unaccounted for",
                    where=f"{fence.customer}, run {fence.run_id}, part {part.key}",
                    action=Action.ENGINEER,
                    remedy="nothing was recorded or delivered; find the step that loses or doubles rows",
                )
        values = _values(part) | {
            "customer": fence.customer,
            "run_id": fence.run_id,
            "updated_at": now(),
        }
        with self._fenced(fence) as connection:
            self._upsert(connection, tables.parts, [values])
            if part.state is RunState.COMPLETE and part.bytes is not None:
                weight = {"customer": fence.customer, "key": part.key, "bytes": part.bytes}
                self._upsert(connection, tables.part_weights, [weight])

    def fail_part(self, fence: Fence, key: str, error: str, action: Action | None = None) -> None:
        """Records that a part failed, and whose action ends that; what was known of it stays."""
        failed = {"state": RunState.FAILED, "error": error, "action": action, "updated_at": now()}
        values = _values(PartRecord(key=key, state=RunState.FAILED, rows_read=0)) | failed
        values |= {"customer": fence.customer, "run_id": fence.run_id}
        with self._fenced(fence) as connection:
            self._upsert(connection, tables.parts, [values], keep=tuple(set(values) - set(failed)))

    def parts(self, customer: str, run_id: str) -> list[PartRecord]:
        """The parts of a run, by key."""
        c = tables.parts.c
        found = self._rows(tables.parts, c.customer == customer, c.run_id == run_id, order=(c.key,))
        without = ("customer", "run_id", "updated_at")
        return [PartRecord(**_record(row, without) | _states(row)) for row in found]

    def part_weights(self, customer: str) -> dict[str, int]:
        """Bytes of the latest complete part of each key."""
        c = tables.part_weights.c
        found = self._rows(tables.part_weights, c.customer == customer, order=(c.key,))
        return {row.key: row.bytes for row in found}

    def read_states(self, customer: str, after: dt.datetime, before: dt.datetime) -> dict[str, str]:
        """By part key, the source's state at the read of the last window that ended between two instants.

        Of several reads of a window the first one counts: rows are rather delivered twice than lost.
        """
        parts, runs = tables.parts.c, tables.runs.c
        query = (
            select(parts.key, parts.read_state)
            .join_from(
                tables.parts,
                tables.runs,
                (parts.customer == runs.customer) & (parts.run_id == runs.run_id),
            )
            .where(
                parts.customer == customer,
                parts.read_state.is_not(None),
                runs.end > after,
                runs.end < before,
                runs.reason != "test",
            )
            .order_by(runs.end, runs.created_at.desc())
        )
        with self._database.read() as connection:
            return {row.key: row.read_state for row in connection.execute(query)}

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
        values = [_values(record) | _delivered_at(record, recorded) for record in in_order]
        c = tables.files.c
        statement = self._insert(tables.files)
        new = statement.excluded
        was_delivered = c.state == FileState.DELIVERED
        changes: dict[str, Any] = {name: new[name] for name in _others(tables.files)}
        changes["delivered_at"] = case(
            (and_(was_delivered, c.sha256 == new.sha256), c.delivered_at), else_=new.delivered_at
        )
        upsert = statement.on_conflict_do_update(
            index_elements=_key(tables.files),
            set_=changes,
            where=not_(and_(was_delivered, new.state == FileState.MISSING)),
        )
        with self._fenced(fence) as connection:
            connection.execute(upsert, values)

    def files_of_run(self, customer: str, run_id: str, location: str | None = None) -> list[FileRecord]:
        """The files that a run recorded last, by place and path."""
        c = tables.files.c
        conditions = [c.customer == customer, c.run_id == run_id, *_given((location, c.location.__eq__))]
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
        values = _values(delivery) | {"delivered_at": delivery.delivered_at or now()}
        with self._fenced(fence) as connection:
            connection.execute(self._insert(tables.deliveries).values(**values).on_conflict_do_nothing())

    def deliveries(self, customer: str | None = None, *, limit: int | None = None) -> list[DeliveryRecord]:
        """Receipts, the newest first."""
        c = tables.deliveries.c
        found = self._rows(
            tables.deliveries,
            *_given((customer, c.customer.__eq__)),
            order=(c.delivered_at.desc(), c.customer, c.location, c.run_id, c.revision.desc()),
            limit=limit,
        )
        return [DeliveryRecord(**_record(row)) for row in found]

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
        return [DeliveryRecord(**_record(row)) for row in found]

    # -- destinations

    def validated_at(self, customer: str, location: str) -> dt.datetime | None:
        """When a test export last validated a place, or None (DX-005, DX-088, DX-089)."""
        c = tables.validations.c
        found = self._rows(tables.validations, c.customer == customer, c.location == location)
        return next((row.validated_at for row in found), None)

    def record_validation(self, customer: str, location: str, run_id: str) -> None:
        """Records that a run's test export has been verified at a place."""
        values = {"customer": customer, "location": location, "run_id": run_id, "validated_at": now()}
        with self._database.write() as connection:
            self._upsert(connection, tables.validations, [values])

    def record_preflight(
        self, customer: str, location: str, run_id: str, steps: Sequence[PreflightStep]
    ) -> None:
        """Records what a preflight found at a place; a later one of the same run replaces it."""
        key, recorded = {"customer": customer, "location": location, "run_id": run_id}, now()
        found = [
            key
            | {"number": number, "at": recorded}
            | {name: getattr(step, name) for name in ("step", "state", "message", "setting")}
            for number, step in enumerate(steps)
        ]
        with self._database.write() as connection:
            connection.execute(tables.preflights.delete().where(*_work(tables.preflights, key)))
            connection.execute(tables.preflights.insert(), found)

    def last_preflight(self, customer: str, location: str) -> list[PreflightStep]:
        """The steps of the last preflight at a place, in order; none if there was none."""
        c = tables.preflights.c
        here = (c.customer == customer, c.location == location)
        last = select(c.run_id).where(*here).order_by(c.at.desc(), c.run_id).limit(1).scalar_subquery()
        found = self._rows(tables.preflights, *here, c.run_id == last, order=(c.number,))
        return [PreflightStep(**_record(row, ("customer", "location", "number"))) for row in found]

    def key_made(self, customer: str, connection: str, public_key: str) -> None:
        """Records that we made a key pair, by its public half."""
        values = {"customer": customer, "connection": connection, "public_key": public_key}
        with self._database.write() as opened:
            self._upsert(opened, tables.public_keys, [values | {"made_at": now()}])

    def key_accepted(self, customer: str, connection: str, public_key: str, location: str) -> None:
        """Records that a place let us in with a key, by its public half; we may not have made it."""
        values = {"customer": customer, "connection": connection, "public_key": public_key}
        accepted = values | {"location": location, "accepted_at": now()}
        with self._database.write() as opened:
            opened.execute(self._insert(tables.public_keys).values(**values).on_conflict_do_nothing())
            self._upsert(opened, tables.accepted_keys, [accepted])

    def public_keys(self, customer: str, connection: str) -> list[PublicKey]:
        """Every key that is known of a connection, the one that we made last first."""
        made, accepted = tables.public_keys.c, tables.accepted_keys.c
        places: dict[str, dict[str, dt.datetime]] = {}
        for row in self._rows(
            tables.accepted_keys, accepted.customer == customer, accepted.connection == connection
        ):
            places.setdefault(row.public_key, {})[row.location] = row.accepted_at
        found = self._rows(
            tables.public_keys,
            made.customer == customer,
            made.connection == connection,
            order=(made.made_at.desc().nulls_last(), made.public_key),
        )
        return [PublicKey(row.public_key, row.made_at, places.get(row.public_key, {})) for row in found]

    # -- mail

    def notified(self, customer: str, run_id: str, kind: str, address: str) -> bool:
        """Whether a mail was sent already (DX-042)."""
        key = {"customer": customer, "run_id": run_id, "kind": kind, "address": address}
        return bool(self._rows(tables.notifications, *_work(tables.notifications, key)))

    def record_notification(self, fence: Fence, kind: str, address: str) -> None:
        """Records that the newest try sent a mail.

        A try that is killed between sending and recording has its mail sent once more by the next try:
        better twice, under the same Message-ID, than never.
        """
        values = {"customer": fence.customer, "run_id": fence.run_id, "kind": kind, "address": address}
        with self._fenced(fence) as connection:
            self._upsert(connection, tables.notifications, [values | {"sent_at": now()}])

    # -- helpers

    def _rows(
        self,
        table: Table,
        *conditions: ColumnElement[bool],
        order: Sequence[ColumnElement[Any]] = (),
        limit: int | None = None,
    ) -> Sequence[Row[Any]]:
        with self._database.read() as connection:
            return connection.execute(select(table).where(*conditions).order_by(*order).limit(limit)).all()

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)

    def _upsert(
        self,
        connection: Connection,
        table: Table,
        values: Sequence[Mapping[str, Any]],
        keep: Sequence[str] = (),
    ) -> None:
        """Inserts rows, or replaces all but their key and what is to be kept."""
        statement = self._insert(table)
        changes = {name: statement.excluded[name] for name in _others(table) if name not in keep}
        connection.execute(statement.on_conflict_do_update(index_elements=_key(table), set_=changes), values)

    @contextlib.contextmanager
    def _fenced(self, fence: Fence) -> Iterator[Connection]:
        """A transaction of the newest try: a newer one can begin only when it has ended."""
        work = {name: value for name, value in dataclasses.asdict(fence).items() if name != "token"}
        newest = select(tables.fences.c.token).where(*_work(tables.fences, work)).with_for_update(read=True)
        with self._database.write() as connection:
            token = connection.scalar(newest)
            if token != fence.token:
                raise SupersededError(
                    f"try {fence.token} of step {fence.step!r} was superseded by try {token}",
                    where=f"{fence.customer}, run {fence.run_id}, {fence.target}",
                    remedy="nothing: the newer try does the work, this one recorded nothing more",
                )
            yield connection

    def _update_attempt(self, fence: Fence, **values: Any) -> None:
        with self._fenced(fence) as connection:
            connection.execute(
                tables.attempts.update()
                .where(*_work(tables.attempts, dataclasses.asdict(fence)))
                .values(**values)
            )


def _work(table: Table, values: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in values.items()]


def _given(*filters: tuple[Any, Callable[[Any], ColumnElement[bool]]]) -> list[ColumnElement[bool]]:
    """The conditions whose value was asked for."""
    return [condition(value) for value, condition in filters if value is not None]


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _others(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]


def _values(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _record(row: Row[Any], without: Sequence[str] = ()) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name not in without}


def _delivered_at(record: FileRecord, recorded: dt.datetime) -> dict[str, dt.datetime]:
    """When a delivered file was delivered, if its record leaves that to the ledger."""
    unset = record.state is FileState.DELIVERED and record.delivered_at is None
    return {"delivered_at": recorded} if unset else {}


def _states(row: Row[Any]) -> dict[str, Any]:
    """The enumerations of a part or an attempt, from their texts."""
    return {"state": RunState(row.state), "action": Action(row.action) if row.action else None}


def _run(row: Row[Any]) -> RunRecord:
    return RunRecord(**_record(row) | {"state": RunState(row.state)})


def _file(row: Row[Any]) -> FileRecord:
    return FileRecord(**_record(row) | {"kind": FileKind(row.kind), "state": FileState(row.state)})
