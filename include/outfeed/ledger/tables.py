"""The ledger's tables. A change here needs a new version in `migrations/versions` (a test compares them)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

#: The newest version in `migrations/versions`.
SCHEMA_VERSION = "0006"
VERSION_TABLE = "outfeed_schema_version"


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An instant: aware on the way in, UTC on the way out, on every engine."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Refuses a naive value; SQLite, which knows no zones, stores UTC wall time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        utc = value.astimezone(dt.UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Gives UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


metadata = MetaData()


def _required(name: str, kind: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, **options)


runs = Table(
    "runs",
    metadata,
    _required("customer", String),
    _required("run_id", String),
    _required("reason", String),
    _required("start", UtcDateTime),
    _required("end", UtcDateTime),
    _required("dataset", String),
    _required("config_sha256", String),
    _required("plan_uri", Text),
    _required("state", String),
    Column("error", Text),
    _required("created_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "run_id"),
    Index("runs_by_window", "customer", "start"),
)

#: The newest token of each piece of work. A writer holds its row until it commits, so no older try slips in.
fences = Table(
    "fences",
    metadata,
    _required("customer", String),
    _required("run_id", String),
    _required("step", String),
    _required("target", String),
    _required("token", Integer),
    PrimaryKeyConstraint("customer", "run_id", "step", "target"),
)

attempts = Table(
    "attempts",
    metadata,
    _required("customer", String),
    _required("run_id", String),
    _required("step", String),
    _required("target", String),
    _required("token", Integer),
    _required("attempt", String),
    _required("state", String),
    _required("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    _required("rows_done", BigInteger),
    _required("bytes_done", BigInteger),
    Column("bytes_total", BigInteger),
    Column("error", Text),
    Column("action", String),
    PrimaryKeyConstraint("customer", "run_id", "step", "target", "token"),
)

parts = Table(
    "parts",
    metadata,
    _required("customer", String),
    _required("run_id", String),
    _required("key", String),
    _required("state", String),
    _required("rows_read", BigInteger),
    Column("rows_valid", BigInteger),
    Column("rows_rejected", BigInteger),
    Column("bytes", BigInteger),
    Column("sha256", String),
    _required("unplaced", BigInteger),
    _required("images", BigInteger),
    _required("images_missing", BigInteger),
    Column("longest_query_seconds", Float),
    _required("rows_late", BigInteger, server_default="0"),
    Column("read_state", String),
    Column("error", Text),
    Column("action", String),
    _required("updated_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "run_id", "key"),
)

#: Bytes of the latest complete part of each key, kept apart so that planning needs no history.
part_weights = Table(
    "part_weights",
    metadata,
    _required("customer", String),
    _required("key", String),
    _required("bytes", BigInteger),
    PrimaryKeyConstraint("customer", "key"),
)

files = Table(
    "files",
    metadata,
    _required("customer", String),
    _required("location", String),
    _required("path", String),
    _required("logical_path", String),
    _required("revision", Integer),
    _required("kind", String),
    _required("state", String),
    _required("run_id", String),
    _required("destination", String),
    Column("part", String),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("sha256", String),
    Column("verified", String),
    Column("supersedes", String),
    Column("delivered_at", UtcDateTime),
    Column("encryption", String),
    Column("plain_bytes", BigInteger),
    Column("plain_sha256", String),
    Column("md5", String),
    PrimaryKeyConstraint("customer", "location", "path"),
    Index("files_by_logical_path", "logical_path", "location", "customer"),
    Index("files_by_run", "run_id", "customer"),
    Index(
        "files_missing",
        "customer",
        "location",
        "path",
        sqlite_where=text("state = 'missing'"),
        postgresql_where=text("state = 'missing'"),
    ),
)

#: Large files under way, by their content: what a later try needs to continue, in the connector's words.
unfinished_uploads = Table(
    "unfinished_uploads",
    metadata,
    _required("customer", String),
    _required("location", String),
    _required("path", String),
    _required("size", BigInteger),
    _required("sha256", String),
    _required("state", Text),
    _required("run_id", String),
    _required("updated_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "location", "path", "size", "sha256"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _required("customer", String),
    _required("destination", String),
    _required("location", String),
    _required("run_id", String),
    _required("reason", String),
    _required("start", UtcDateTime),
    _required("end", UtcDateTime),
    _required("dataset", String),
    _required("revision", Integer),
    Column("manifest_path", String),
    _required("files", BigInteger),
    _required("images", BigInteger),
    _required("images_missing", BigInteger),
    _required("rows", BigInteger),
    _required("rows_rejected", BigInteger),
    _required("bytes", BigInteger),
    Column("supersedes", String),
    Column("warning", Text),
    _required("delivered_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "location", "run_id", "revision"),
    Index("deliveries_by_time", "customer", "delivered_at"),
    Index("deliveries_by_window", "customer", "location", "dataset", "start", "end"),
)

#: Places that a test export has validated (DX-005, DX-089).
validations = Table(
    "validations",
    metadata,
    _required("customer", String),
    _required("location", String),
    _required("run_id", String),
    _required("validated_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "location"),
)

#: The last preflight of each run at each place, and those that somebody asked for.
preflights = Table(
    "preflights",
    metadata,
    _required("customer", String),
    _required("location", String),
    _required("run_id", String),
    _required("number", Integer),
    _required("step", String),
    _required("state", String),
    _required("message", Text),
    Column("setting", Text),
    _required("at", UtcDateTime),
    PrimaryKeyConstraint("customer", "location", "run_id", "number"),
    Index("preflights_by_time", "customer", "location", "at"),
)

#: Public halves of the keys in a connection, for the onboarding sheet and for rotations; nothing secret.
public_keys = Table(
    "public_keys",
    metadata,
    _required("customer", String),
    _required("connection", String),
    _required("public_key", Text),
    Column("made_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "connection", "public_key"),
)

#: When a place last let us in with a key.
accepted_keys = Table(
    "accepted_keys",
    metadata,
    _required("customer", String),
    _required("connection", String),
    _required("public_key", Text),
    _required("location", String),
    _required("accepted_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "connection", "public_key", "location"),
)

notifications = Table(
    "notifications",
    metadata,
    _required("customer", String),
    _required("run_id", String),
    _required("kind", String),
    _required("address", String),
    _required("sent_at", UtcDateTime),
    PrimaryKeyConstraint("customer", "run_id", "kind", "address"),
)
