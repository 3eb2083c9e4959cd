"""One service's database: transactions, outbox, idempotency, job rows, tables, migrations."""
