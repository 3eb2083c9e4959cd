"""One service's database: transactions that also hold what is published and scheduled in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from sqlalchemy import CursorResult, Executable, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from backbone import outbox, schedule
from backbone.events import Cause, Payload
from backbone.identity import new_id


class Tx:
    """A transaction. What it publishes and schedules is written last, when every row lock is held."""

    def __init__(self, connection: AsyncConnection, raw: asyncpg.Connection[Any], service: str, cause: Cause) -> None:
        self.connection = connection
        self.raw = raw
        self.service = service
        self.cause = cause
        self.now = datetime.now(UTC)
        self._outgoing: list[outbox.Row] = []
        self._jobs: dict[tuple[str, str], schedule.Row | None] = {}

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a SQLAlchemy Core statement inside this transaction."""
        return await self.connection.execute(statement, parameters)

    def publish(self, *payloads: Payload, key: str, subject: str | None = None, cause: Cause | None = None) -> None:
        """Put one happening into the outbox at commit; several payloads are its versions and share an occurrence.

        Raises ContractBroken when a payload breaks its schema, TooLarge over 64 KiB.
        """
        self._outgoing += outbox.rows(self.service, payloads, key, subject or key, cause or self.cause)

    def schedule(
        self,
        kind: str,
        key: str,
        data: Mapping[str, Any] | None = None,
        *,
        due: datetime | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Write a job, due now or later; one of the same kind and key is replaced and starts anew."""
        self._jobs[kind, key] = schedule.row(kind, key, data or {}, due or self.now, cause or self.cause)

    def withdraw(self, kind: str, key: str) -> None:
        """Forget a job, also one that is running: it will not settle."""
        self._jobs[kind, key] = None

    async def flush(self) -> tuple[bool, frozenset[str]]:
        """Write what was collected; tells whether events go out, and the kinds of the jobs that are due."""
        kinds = await schedule.write(self.raw, self._jobs, self.now)
        await outbox.write(self.raw, self.service, self.now, self._outgoing)
        return bool(self._outgoing), kinds


class Wakeups:
    """Lets a commit wake the relay and the workers of the same process, so that they need not poll quickly."""

    def __init__(self) -> None:
        self.outbox = asyncio.Event()
        self._jobs: dict[str, asyncio.Event] = {}

    def jobs(self, kind: str) -> asyncio.Event:
        """The event that is set when a job of this kind that is due was scheduled here."""
        return self._jobs.setdefault(kind, asyncio.Event())

    def committed(self, published: bool, kinds: frozenset[str]) -> None:
        """Wake whoever has work after a commit."""
        if published:
            self.outbox.set()
        for kind in kinds:
            self.jobs(kind).set()


class Database:
    """A pool of connections shared by SQLAlchemy Core and, on hot paths, by plain asyncpg."""

    def __init__(self, url: str, service: str, size: int = 10) -> None:
        """`url` is postgresql://role:password@host:port/name. No connection is made before the first use."""
        self.service = service
        self.wakeups = Wakeups()
        # Autocommit towards SQLAlchemy: transactions are begun and ended by asyncpg, whoever runs the statements.
        self._engine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # errors reach logs, where customers' data has no place
            pool_size=size,
            max_overflow=0,
            pool_timeout=30,
            pool_use_lifo=True,
            connect_args={
                "timeout": 10,
                "command_timeout": 60,
                "server_settings": {
                    "application_name": f"sliceline-{service}",
                    "idle_in_transaction_session_timeout": "30000",
                    "jit": "off",
                },
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)

    @asynccontextmanager
    async def transaction(self, cause: Cause | None = None) -> AsyncIterator[Tx]:
        """All or nothing: commits at the end of the block, rolls back when it raises."""
        async with self._lent() as (connection, raw):
            tx = Tx(connection, raw, self.service, cause or Cause(new_id()))
            async with raw.transaction():
                yield tx
                woken = await tx.flush()
        self.wakeups.committed(*woken)

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of one statement that commits by itself: a third of the round trips of a transaction.

        Cut off, it may have committed.
        """
        async with self._lent() as (_, raw):
            rows: list[asyncpg.Record] = await raw.fetch(statement, *arguments)
            return rows

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection[Any]]]:
        """A connection out of the pool, for SQLAlchemy and for asyncpg. One that was cut off does not go back there."""
        async with self._engine.connect() as connection:
            raw = await _driver(connection)
            try:
                yield connection, raw
            except BaseException as error:
                # Cut off while it begins or rolls back, it may be in a transaction that nobody ends. Whoever got it
                # next would commit into that, which is: not at all. One that timed out may be dead.
                if raw.is_in_transaction() or isinstance(error, TimeoutError) or not isinstance(error, Exception):
                    raw.terminate()
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for queries; each statement sees the newest committed state."""
        async with self._engine.connect() as connection:
            yield connection

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()


async def _driver(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    raw: asyncpg.Connection[Any] | None = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101  a checked-out connection has its driver's
    return raw


def _refuse_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server has closed meanwhile is replaced before anybody meets it."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError
