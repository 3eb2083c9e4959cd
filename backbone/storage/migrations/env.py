"""Is Alembic's entry: runs a transaction for each step, all on one connection, under a lock of the session's own.

Whoever waits for a table's lock makes all others wait who come later. So a migration beside running code holds the
locks of one step only, and waits for each of them for less time than a command bears (see `coalescer.PATIENCE`); who
calls it tries again (see `migrations.AGAIN`).
"""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

PATIENCE = "300ms"


def _migrate(connection: Connection) -> None:
    # Another migration is waited for, however long it takes: the limit comes after this lock.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('sliceline.migrations'))"))
    connection.execute(text(f"SET lock_timeout = '{PATIENCE}'"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    if afterwards := context.config.attributes.get("afterwards"):
        connection.commit()
        with connection.begin():
            afterwards(connection)


async def _run(url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run(context.config.attributes["url"]))
