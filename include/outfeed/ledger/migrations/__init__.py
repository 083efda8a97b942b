"""Alembic's environment and versions of the ledger's schema."""
