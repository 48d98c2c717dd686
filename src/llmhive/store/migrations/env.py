"""Alembic's environment: runs on the connection `Database.migrate` hands over."""

from __future__ import annotations

from alembic import context

from llmhive.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    # both databases can undo DDL, so all migrations are one transaction: the caller's
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
