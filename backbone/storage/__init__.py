"""Holds one service's database: transactions, outbox, idempotency, job rows, tables, migrations."""
