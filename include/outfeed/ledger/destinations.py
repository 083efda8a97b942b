"""What the ledger knows of destinations: test exports, preflights, and the keys that open them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select

from outfeed.ledger import tables
from outfeed.ledger.access import Access, fields_of, matching, now
from outfeed.ledger.records import PreflightStep, PublicKey


class Destinations(Access):
    """Records what was found out about each place (DX-005, DX-088, DX-089)."""

    # -- test exports

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

    # -- preflights

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
            connection.execute(tables.preflights.delete().where(*matching(tables.preflights, key)))
            connection.execute(tables.preflights.insert(), found)

    def last_preflight(self, customer: str, location: str) -> list[PreflightStep]:
        """The steps of the last preflight at a place, in order; none if there was none."""
        c = tables.preflights.c
        here = (c.customer == customer, c.location == location)
        last = select(c.run_id).where(*here).order_by(c.at.desc(), c.run_id).limit(1).scalar_subquery()
        found = self._rows(tables.preflights, *here, c.run_id == last, order=(c.number,))
        return [PreflightStep(**fields_of(row, ("customer", "location", "number"))) for row in found]

    # -- keys

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
