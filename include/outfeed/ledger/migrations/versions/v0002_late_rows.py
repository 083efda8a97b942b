"""What a delta's read saw, so that the next one finds rows that were committed late."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds two columns to the parts."""
    op.add_column("parts", sa.Column("rows_late", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("parts", sa.Column("read_state", sa.String(), nullable=True))
