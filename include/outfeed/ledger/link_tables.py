"""The ledger's tables of temporary links: where files wait, who may fetch them, and who did."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from outfeed.ledger.tables import UtcDateTime, metadata

#: The folder of each delivery that waits in a store of ours.
link_folders = Table(
    "link_folders",
    metadata,
    Column("customer", String, nullable=False),
    Column("location", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("root", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "location", "run_id"),
)

#: One per delivery and recipient. Of the token only its SHA-256 is here: nobody can make a link from it.
links = Table(
    "links",
    metadata,
    Column("id", String, nullable=False),
    Column("token_sha256", String, nullable=False),
    Column("customer", String, nullable=False),
    Column("location", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("start", UtcDateTime, nullable=False),
    Column("end", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("supersedes", String),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("refusal", Text),
    PrimaryKeyConstraint("id"),
    Index("links_by_token", "token_sha256", unique=True),
    Index("links_by_run", "customer", "location", "run_id"),
    Index("links_by_time", "customer", "created_at"),
)

#: Every click on a page's buttons. A ticket lets the browser that clicked fetch the file, for some minutes.
link_clicks = Table(
    "link_clicks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("link_id", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("token_prefix", String, nullable=False),
    Column("path", Text),
    Column("client", String, nullable=False),
    Column("user_agent", String, nullable=False),
    Column("ticket_sha256", String),
    Index("link_clicks_by_link", "link_id", "at"),
    Index("link_clicks_by_ticket", "ticket_sha256", unique=True),
)
