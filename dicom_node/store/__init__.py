"""Spool and ledger: what survives a crash."""
