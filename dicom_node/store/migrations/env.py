"""Runs the revisions on the connection `store.migrating` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from dicom_node.store.schema import METADATA

connection = context.config.attributes["connection"]
# SQLite changes a table by copying it, which Alembic calls a batch.
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
