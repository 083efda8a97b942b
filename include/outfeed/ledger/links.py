"""Temporary links and their use, as the ledger knows them (DX-040, DX-041, XX-08)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, func, select, true

from outfeed.ledger.access import Access, fields_of
from outfeed.ledger.link_tables import link_clicks, link_folders, links
from outfeed.ledger.records import Fence

LinkState = Literal["live", "expired", "revoked", "refused", "not sent"]

#: Stored files are removed so long after their last link has ended.
GRACE = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class LinkRecord:
    """One recipient's link to one delivery.

    Attributes:
        token_sha256: hex digest of the token; the token itself is in the mail and nowhere in the ledger.
        supersedes: id of the recipient's link to the delivery that this one corrects.
        refusal: what the mail server said when it refused the recipient for good.
    """

    id: str
    token_sha256: str
    customer: str
    location: str
    destination: str
    run_id: str
    recipient: str
    dataset: str
    start: dt.datetime
    end: dt.datetime
    revision: int
    created_at: dt.datetime
    expires_at: dt.datetime
    supersedes: str | None = None
    sent_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    refusal: str | None = None

    def state(self, now: dt.datetime) -> LinkState:
        """What its holder finds."""
        if self.revoked_at is not None:
            return "refused" if self.refusal else "revoked"
        if now >= self.expires_at:
            return "expired"
        return "live" if self.sent_at else "not sent"

    def works(self, now: dt.datetime) -> bool:
        """Whether it opens: a mail may have arrived before the ledger knows that it was sent."""
        return self.revoked_at is None and now < self.expires_at


@dataclasses.dataclass(frozen=True)
class LinkUse:
    """A link, and how often somebody clicked."""

    link: LinkRecord
    clicks: int
    last_click: dt.datetime | None


@dataclasses.dataclass(frozen=True)
class Click:
    """A click on one of a page's buttons.

    Attributes:
        path: of the file; None for all files.
        client: network address.
        ticket_sha256: hex digest of the ticket that it brought, if we hand the file out ourselves.
    """

    link_id: str
    at: dt.datetime
    token_prefix: str
    path: str | None
    client: str
    user_agent: str
    ticket_sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class LinkFolder:
    """Where the files of one delivery wait."""

    customer: str
    location: str
    run_id: str
    root: str


class Links(Access):
    """What the ledger knows of links. Every method is one transaction."""

    # -- folders

    def folder(self, fence: Fence, location: str, store: str) -> str:
        """URI of the folder of a run's delivery: a new one that nobody can guess, the same for each try."""
        root = f"{store}/{fence.customer}/{secrets.token_hex(16)}"
        key = {"customer": fence.customer, "location": location, "run_id": fence.run_id}
        values = key | {"root": root, "created_at": dt.datetime.now(dt.UTC), "removed_at": None}
        insert = self._insert(link_folders).values(values)
        # What was removed after its time is there again from now on, under its old name.
        again = insert.on_conflict_do_update(index_elements=list(key), set_={"removed_at": None})
        with self._fenced(fence) as connection:
            kept: str = connection.scalars(again.returning(link_folders.c.root)).one()
        return kept

    def root(self, link: LinkRecord) -> str | None:
        """URI of the folder that a link leads to; None if it was removed."""
        c = link_folders.c
        wanted = select(c.root).where(
            c.customer == link.customer,
            c.location == link.location,
            c.run_id == link.run_id,
            c.removed_at.is_(None),
        )
        with self._database.read() as connection:
            return connection.scalar(wanted)

    def abandoned(self, now: dt.datetime, unlinked: dt.timedelta) -> list[LinkFolder]:
        """Folders whose last link ended more than a day ago, or that have had none for so long (XX-09)."""
        f, at = link_folders.c, links.c
        ended = func.max(func.coalesce(at.revoked_at, at.expires_at))
        same = and_(at.customer == f.customer, at.location == f.location, at.run_id == f.run_id)
        key = (f.customer, f.location, f.run_id, f.root, f.created_at)
        query = (
            select(*key, ended.label("ended"))
            .join_from(link_folders, links, same, isouter=True)
            .where(f.removed_at.is_(None))
            .group_by(*key)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            LinkFolder(row.customer, row.location, row.run_id, row.root)
            for row in rows
            if (row.created_at + unlinked if row.ended is None else row.ended + GRACE) <= now
        ]

    def record_removed(self, folder: LinkFolder, now: dt.datetime) -> None:
        """Records that a folder was removed."""
        c = link_folders.c
        here = (c.customer == folder.customer, c.location == folder.location, c.run_id == folder.run_id)
        with self._database.write() as connection:
            connection.execute(link_folders.update().where(*here).values(removed_at=now))

    # -- links

    def record(self, fence: Fence, link: LinkRecord) -> LinkRecord:
        """Records a link before its mail is sent; gives it as it is, if an earlier try has recorded it.

        One that was refused is offered again: somebody may have opened the mailbox.
        """
        insert = self._insert(links).values(dataclasses.asdict(link))
        again = insert.on_conflict_do_update(
            index_elements=["id"],
            set_={"revoked_at": None, "refusal": None, "expires_at": link.expires_at},
            where=links.c.refusal.is_not(None),
        )
        with self._fenced(fence) as connection:
            connection.execute(again)
            return _link(connection.execute(select(links).where(links.c.id == link.id)).one())

    def record_sent(self, fence: Fence, link_id: str, now: dt.datetime) -> None:
        """Records that the mail server took the mail."""
        with self._fenced(fence) as connection:
            connection.execute(links.update().where(links.c.id == link_id).values(sent_at=now))

    def record_refused(self, fence: Fence, link_id: str, refusal: str, now: dt.datetime) -> None:
        """Records that the mail server refused the recipient for good: nobody has this link."""
        with self._fenced(fence) as connection:
            connection.execute(
                links.update().where(links.c.id == link_id).values(revoked_at=now, refusal=refusal)
            )

    def revoke(self, link_id: str, now: dt.datetime) -> LinkRecord | None:
        """Ends a link at once; gives it, or None if there is none of this id."""
        with self._database.write() as connection:
            still = (links.c.id == link_id, links.c.revoked_at.is_(None))
            connection.execute(links.update().where(*still).values(revoked_at=now))
            row = connection.execute(select(links).where(links.c.id == link_id)).one_or_none()
        return None if row is None else _link(row)

    def by_token(self, token_sha256: str) -> LinkRecord | None:
        """The link with a token of this digest, whatever its state."""
        return next(iter(self._links(links.c.token_sha256 == token_sha256)), None)

    def of_delivery(self, customer: str, location: str, run_id: str) -> list[LinkRecord]:
        """All links to one delivery, the oldest first."""
        c = links.c
        return self._links(c.customer == customer, c.location == location, c.run_id == run_id)

    def offered(self, customer: str, location: str, run_id: str, now: dt.datetime) -> bool:
        """Whether anybody can still fetch what a run delivered."""
        return any(link.works(now) for link in self.of_delivery(customer, location, run_id))

    def uses(self, customer: str | None) -> list[LinkUse]:
        """Links of a customer or of all, with their clicks; the newest first."""
        c = link_clicks.c
        counted = (
            select(c.link_id, func.count().label("clicks"), func.max(c.at).label("last_click"))
            .group_by(c.link_id)
            .subquery()
        )
        query = (
            select(links, counted.c.clicks, counted.c.last_click)
            .join_from(links, counted, counted.c.link_id == links.c.id, isouter=True)
            .where(true() if customer is None else links.c.customer == customer)
            .order_by(links.c.created_at.desc(), links.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [LinkUse(_link(row), row.clicks or 0, row.last_click) for row in rows]

    # -- clicks

    def record_click(self, click: Click) -> None:
        """Records a click, before anything is handed out."""
        with self._database.write() as connection:
            connection.execute(link_clicks.insert().values(dataclasses.asdict(click)))

    def clicks(self, link_id: str) -> list[Click]:
        """The clicks on a link's page, in order."""
        return self._clicks(link_clicks.c.link_id == link_id)

    def by_ticket(self, ticket_sha256: str) -> tuple[Click, LinkRecord] | None:
        """The click that brought a ticket of this digest, and its link."""
        click = next(iter(self._clicks(link_clicks.c.ticket_sha256 == ticket_sha256)), None)
        if click is None:
            return None
        (link,) = self._links(links.c.id == click.link_id)
        return click, link

    # -- helpers

    def _links(self, *conditions: ColumnElement[bool]) -> list[LinkRecord]:
        order = (links.c.created_at, links.c.id)
        return [_link(row) for row in self._rows(links, *conditions, order=order)]

    def _clicks(self, *conditions: ColumnElement[bool]) -> list[Click]:
        found = self._rows(link_clicks, *conditions, order=(link_clicks.c.id,))
        return [Click(**fields_of(row, ("id",))) for row in found]


def _link(row: Row[Any]) -> LinkRecord:
    return LinkRecord(**fields_of(row, ("clicks", "last_click")))
