"""Temporary links: where files wait, who may fetch them, and who did."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds three tables."""
    op.create_table(
        "link_folders",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("customer", "location", "run_id"),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("token_sha256", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("start", INSTANT, nullable=False),
        sa.Column("end", INSTANT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("supersedes", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("links_by_token", "links", ["token_sha256"], unique=True)
    op.create_index("links_by_run", "links", ["customer", "location", "run_id"])
    op.create_index("links_by_time", "links", ["customer", "created_at"])
    op.create_table(
        "link_clicks",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("link_id", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("token_prefix", sa.String(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("ticket_sha256", sa.String(), nullable=True),
    )
    op.create_index("link_clicks_by_link", "link_clicks", ["link_id", "at"])
    op.create_index("link_clicks_by_ticket", "link_clicks", ["ticket_sha256"], unique=True)
