"""Encrypted files: how, and what they are when they are decrypted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds four columns to the files."""
    op.add_column("files", sa.Column("encryption", sa.String(), nullable=True))
    op.add_column("files", sa.Column("plain_bytes", sa.BigInteger(), nullable=True))
    op.add_column("files", sa.Column("plain_sha256", sa.String(), nullable=True))
    op.add_column("files", sa.Column("md5", sa.String(), nullable=True))
