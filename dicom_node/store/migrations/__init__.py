"""Alembic's folder: the history of the ledger's tables, run by `store.migrating`."""
