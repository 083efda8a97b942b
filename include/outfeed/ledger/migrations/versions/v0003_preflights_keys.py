"""What preflights found at destinations, and the public halves of the keys that we log in with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds three tables."""
    op.create_table(
        "preflights",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("setting", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("customer", "location", "run_id", "number"),
    )
    op.create_index("preflights_by_time", "preflights", ["customer", "location", "at"])
    op.create_table(
        "public_keys",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("customer", "connection", "public_key"),
    )
    op.create_table(
        "accepted_keys",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("customer", "connection", "public_key", "location"),
    )
