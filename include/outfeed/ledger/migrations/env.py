"""Runs the versions on the connection, and in the transaction, that `Database.migrate` hands over."""

from alembic import context

from outfeed.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
