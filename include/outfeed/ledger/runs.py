"""What the ledger knows of runs: their windows, the tries of their steps, and their parts."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from sqlalchemy import Row, select

from outfeed.errors import Action, TerminalError
from outfeed.ledger import tables
from outfeed.ledger.access import Access, fields_of, given, matching, now, values_of
from outfeed.ledger.records import AttemptRecord, Fence, PartRecord, RunRecord, RunState


class Runs(Access):
    """Records runs, tries and parts; a newer try of the same work fences older ones off (XX-03)."""

    # -- runs

    def start_run(self, run: RunRecord) -> None:
        """Records that a run is planned; a re-start makes it running again and keeps its creation time."""
        values = values_of(run) | {
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
        conditions = given((customer, c.customer.__eq__), (start, c.start.__ge__), (end, c.end.__le__))
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
                .where(*matching(tables.attempts, work), tables.attempts.c.state == RunState.RUNNING)
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
        return [AttemptRecord(**fields_of(row) | _states(row)) for row in found]

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
        values = values_of(part) | {
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
        values = values_of(PartRecord(key=key, state=RunState.FAILED, rows_read=0)) | failed
        values |= {"customer": fence.customer, "run_id": fence.run_id}
        with self._fenced(fence) as connection:
            self._upsert(connection, tables.parts, [values], keep=tuple(set(values) - set(failed)))

    def parts(self, customer: str, run_id: str) -> list[PartRecord]:
        """The parts of a run, by key."""
        c = tables.parts.c
        found = self._rows(tables.parts, c.customer == customer, c.run_id == run_id, order=(c.key,))
        without = ("customer", "run_id", "updated_at")
        return [PartRecord(**fields_of(row, without) | _states(row)) for row in found]

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

    def _update_attempt(self, fence: Fence, **values: Any) -> None:
        with self._fenced(fence) as connection:
            connection.execute(
                tables.attempts.update()
                .where(*matching(tables.attempts, dataclasses.asdict(fence)))
                .values(**values)
            )


def _states(row: Row[Any]) -> dict[str, Any]:
    """The enumerations of a part or an attempt, from their texts."""
    return {"state": RunState(row.state), "action": Action(row.action) if row.action else None}


def _run(row: Row[Any]) -> RunRecord:
    return RunRecord(**fields_of(row) | {"state": RunState(row.state)})
