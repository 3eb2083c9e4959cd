"""Rebuilds a read model beside the live one: the same empty tables in a schema of their own, fed by the same handlers.

Nothing leaves it: what a handler publishes or schedules there is dropped. Its clock stands still at a moment at which
nothing of ours has happened, so that a time that comes from the clock, and not from an event, is told from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from backbone.decision import Decision
from backbone.events.payload import Cause, Payload
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement
from backbone.storage.tables import metadata

SCHEMA = "sliceline_shadow"
STANDSTILL = datetime(1990, 1, 1, tzinfo=UTC)
"""What the shadow's clock says."""

_TABLES = Statement("""
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY c.relname
""")
_OF_THE_BACKBONE = {*metadata.tables, "alembic_version"}
# Its rows are gone when it has served: they need no log, and no commit of them waits for the disk.
_SESSION = f"SET search_path = {SCHEMA}; SET synchronous_commit = off"


class _MuteTx(Tx):
    """Is a transaction from which nothing goes out."""

    def __init__(
        self, connection: AsyncConnection, raw: asyncpg.Connection[Any], service: str, cause: Cause, _: datetime
    ) -> None:
        super().__init__(connection, raw, service, cause, STANDSTILL)

    def publish(
        self,
        *payloads: Payload,
        key: str,
        subject: str | None = None,
        cause: Cause | None = None,
        bus: str | None = None,
    ) -> None:
        """Publish nothing."""

    def schedule(
        self,
        kind: str,
        key: str,
        data: Mapping[str, Any] | None = None,
        *,
        due: datetime | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Schedule nothing."""

    def withdraw(self, kind: str, key: str) -> None:
        """Withdraw nothing."""

    def apply(self, decision: Decision[Any], *, key: str, cause: Cause | None = None) -> None:
        """Say nothing."""

    def committed(self) -> None:
        """Measure nothing: it is of long ago."""


class ShadowDatabase(Database):
    """Is a service's database as its shadow sees it: it finds the tables of its schema, and no others."""

    transactions = _MuteTx

    def __init__(self, url: str, service: str) -> None:
        super().__init__(url, service)
        event.listen(self._engine.sync_engine, "connect", _in_the_shadow)


def _in_the_shadow(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.run_async(lambda connection: connection.execute(_SESSION))


async def make(connection: asyncpg.Connection[Any]) -> None:
    """Make the shadow's tables, empty, in the shape of the live ones; one that somebody left behind goes first."""
    await drop(connection)
    await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    for row in await _TABLES.fetch(connection):
        name = f'"{row["relname"]}"'
        await connection.execute(f"CREATE UNLOGGED TABLE {SCHEMA}.{name} (LIKE public.{name} INCLUDING ALL)")
    await connection.execute(f"INSERT INTO {SCHEMA}.inbox_memory DEFAULT VALUES")


async def give_up(connection: asyncpg.Connection[Any]) -> None:
    """Have what an operator gave up count as handled in the shadow too: nothing came of it, and nothing is to come.

    What was given up was noted in the inbox in the same transaction. A record that is no event is known by its place.
    """
    for name in ("discarded_letters", "consumer_offsets"):
        await connection.execute(f"INSERT INTO {SCHEMA}.{name} SELECT * FROM public.{name}")  # noqa: S608  our own text
    await connection.execute(
        f"INSERT INTO {SCHEMA}.inbox SELECT inbox.* FROM public.inbox WHERE EXISTS ("  # noqa: S608  our own text
        "SELECT FROM public.discarded_letters AS gone "
        "WHERE gone.consumer = inbox.consumer AND gone.discarded_at = inbox.received_at)"
    )


async def drop(connection: asyncpg.Connection[Any]) -> None:
    """Drop the shadow, if there is one."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


async def tables(connection: asyncpg.Connection[Any]) -> list[str]:
    """Name the tables that are the service's own."""
    return [row["relname"] for row in await _TABLES.fetch(connection) if row["relname"] not in _OF_THE_BACKBONE]
