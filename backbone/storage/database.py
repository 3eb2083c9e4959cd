"""Opens one service's database: transactions that also hold what is published and scheduled in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from copy import copy
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from backbone.decision import Decision
from backbone.events.payload import Cause, Payload
from backbone.ids import new_id
from backbone.running.faults import CommitUnknown, is_passing, may_be_the_session
from backbone.running.retry import RetryPolicy, repeat
from backbone.running.shares import Share, shared_out
from backbone.storage import job_rows, outbox
from backbone.storage.clock import Clock
from backbone.storage.confined import AS_BEFORE, confining
from backbone.storage.wakeups import SLEEP, Wakeups
from backbone.values.passwords import password_in

# Said once on every new connection, and not when it is opened: a pooler between us and the server refuses that.
# A lock is waited for a few seconds: whatever holds it longer is not ours, and whoever waits holds a connection.
SESSION = """
SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '30s'; SET jit = off
"""

CONNECTING = 10.0
"""Seconds: for a free connection of the pool, and once more for a new one."""
STATEMENT = 60.0
"""Seconds after which a statement is cut off."""
LONGEST_WAIT = 2 * CONNECTING + STATEMENT
"""Seconds after which whoever waits for the database, for whatever, has got it or an error."""
_BEING_CHANGED = RetryPolicy(
    first=timedelta(milliseconds=50), longest=timedelta(milliseconds=200), within=timedelta(seconds=3)
)
"""How long a password that is refused is read again: file and server do not get a new one at the same moment."""


class Tx:
    """Is a transaction. What it publishes and schedules is written last, when every row lock is held."""

    def __init__(
        self, connection: AsyncConnection, raw: asyncpg.Connection[Any], service: str, cause: Cause, now: datetime
    ) -> None:
        self.connection = connection
        self.raw = raw
        self.service = service
        self.cause = cause
        self.now = now
        self._outgoing: list[outbox.Row] = []
        self._jobs: dict[tuple[str, str], job_rows.Row | None] = {}
        self._measuring: list[Callable[[], None]] = []

    def publish(
        self,
        *payloads: Payload,
        key: str,
        subject: str | None = None,
        cause: Cause | None = None,
        bus: str | None = None,
    ) -> None:
        """Put one happening into the outbox at commit; several payloads are its versions and share an occurrence.

        `bus`: where it goes, if not where its payload says. Raises ContractBroken when a payload breaks its schema,
        TooLarge over 1 MiB, NotAllowed where buses.toml does not let the service publish.
        """
        self._outgoing += outbox.rows(self.service, payloads, key, subject or key, cause or self.cause, bus)

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
        self._jobs[kind, key] = job_rows.row(kind, key, data or {}, due, cause or self.cause)

    def withdraw(self, kind: str, key: str) -> None:
        """Delete a job, also one that is running: its outcome will not be recorded."""
        self._jobs[kind, key] = None

    def apply(self, decision: Decision[Any], *, key: str, cause: Cause | None = None) -> None:
        """Publish what a decision tells, and stop and start its jobs, under `key`. The state is the caller's to save.

        Raises what `publish` raises.
        """
        for happening in decision.events:
            versions = happening if isinstance(happening, tuple) else (happening,)
            self.publish(*versions, key=key, cause=cause)
        for kind in decision.stop:
            self.withdraw(kind, key)
        for job in decision.start:
            self.schedule(job.kind, job.key or key, job.data, due=job.due, cause=cause)

    def measure(self, act: Callable[[], None]) -> None:
        """Have something measured at commit: what is rolled back, and tried again, is not to be counted twice."""
        self._measuring.append(act)

    def committed(self) -> None:
        """Measure what was to be measured."""
        for act in self._measuring:
            act()

    def leave_out(self, told: Collection[outbox.Told], kinds: Collection[str]) -> None:
        """Drop what was published before, and those jobs of these kinds that have led to what was published before."""
        said = {row.told for row in self._outgoing}
        self._outgoing = [row for row in self._outgoing if row.told not in told]
        done = {(cause, key) for cause, _, key in set(told) - said}
        self._jobs = {
            name: row
            for name, row in self._jobs.items()
            if row is None or row.kind not in kinds or (row.causationid, row.key) not in done
        }

    @asynccontextmanager
    async def confined(self) -> AsyncIterator[None]:
        """Run the block as the customer whose request this is, if it is one's; what it raises ends the transaction."""
        if confined := confining(self.service):
            await self.raw.execute(confined)
        yield
        if confined:
            await self.raw.execute(AS_BEFORE)

    async def flush(self) -> tuple[bool, frozenset[str]]:
        """Write what was collected; return whether events go out, and the kinds of jobs that are due, or soon."""
        kinds = await job_rows.write(self.raw, self._jobs, self.now + SLEEP)
        await outbox.write(self.raw, self.service, self.now, self._outgoing)
        return bool(self._outgoing), kinds


class Database:
    """Is a pool of connections shared by SQLAlchemy Core and, on hot paths, by plain asyncpg."""

    transactions: type[Tx] = Tx

    def __init__(self, url: str, service: str, size: int = 12, password_file: Path | None = None) -> None:
        """`url` is postgresql://role:password@host:port/name; how it is secured stands in it as for libpq (sslmode, …).

        No connection is made before the first use. `password_file` holds the password instead: a new one is there for
        the next connection.
        """
        self.service = service
        self.wakeups = Wakeups()
        self._url = url
        self._password_file = password_file
        self._clock = Clock()
        # Autocommit towards SQLAlchemy: transactions are begun and ended by asyncpg, whoever runs the statements.
        self._engine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            async_creator=self._connect,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # errors reach logs, where customers' data has no place
            pool_size=size,
            max_overflow=0,
            pool_timeout=CONNECTING,
            pool_use_lifo=True,
        )
        event.listen(self._engine.sync_engine, "connect", _set_up_session)
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        self._shares = shared_out(size)
        self._share: Share | None = None

    def now(self) -> datetime:
        """Return the database's time: whatever is compared with a row's time, or becomes one, comes from this clock."""
        return self._clock.now()

    @cached_property
    def for_queries(self) -> Database:
        """The same database for queries, which leave connections to others (see `shares.py`)."""
        return self._within(self._shares.requests)

    @cached_property
    def for_commands(self) -> Database:
        """The same database for commands, which leave connections to others, queries among them."""
        return self._within(self._shares.commands)

    @cached_property
    def for_bulk_commands(self) -> Database:
        """The same database for commands on many resources at once, which leave connections to those on one."""
        return self._within(self._shares.bulk)

    @cached_property
    def for_jobs(self) -> Database:
        """The same database for jobs, which leave connections to others."""
        return self._within(self._shares.jobs)

    def _within(self, share: Share) -> Database:
        limited = copy(self)
        limited._share = share
        return limited

    @asynccontextmanager
    async def transaction(
        self, cause: Cause | None = None, *, patience: timedelta | None = None, fresh: bool = False
    ) -> AsyncIterator[Tx]:
        """Run the block in a transaction: commit at its end, roll back when it raises.

        `patience`: how long to wait for a lock, where that is not what the session says. `fresh`: on a new connection.
        Raises CommitUnknown.
        """
        async with self._lent(fresh=fresh) as (connection, raw):
            tx = self.transactions(connection, raw, self.service, cause or Cause(new_id()), self.now())
            async with _begun(raw, _limiting(patience) if patience else None):
                yield tx
                woken = await tx.flush()
        self.wakeups.committed(*woken)
        tx.committed()

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of one statement that commits by itself: a third of the round trips of a transaction.

        Cut off, it may have committed. Of a customer's request it takes a transaction, as `reading` does.
        """
        async with self._lent() as (_, raw), self._confined(raw):
            rows: list[asyncpg.Record] = await raw.fetch(statement, *arguments)
            return rows

    @asynccontextmanager
    async def _lent(self, *, fresh: bool = False) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection[Any]]]:
        """Lend a connection of the pool, for SQLAlchemy and for asyncpg. One that was cut off does not go back."""
        async with self._pooled() as connection:
            if fresh:
                await connection.invalidate()
            raw = await _driver(connection)
            try:
                yield connection, raw
            except BaseException as error:
                # Cut off while it begins or rolls back, it may be in a transaction that nobody ends. Whoever got it
                # next would commit into that, which is: not at all. Other faults too may cling to the connection.
                if raw.is_in_transaction() or may_be_the_session(error) or not isinstance(error, Exception):
                    raw.terminate()
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for queries; each statement sees the newest committed state. Raises Full.

        During a customer's request no row is there but what is the customer's own (see `confined.py`).
        """
        if confining(self.service) is None:
            async with self._pooled() as connection:
                yield connection
            return
        async with self._lent() as (connection, raw), self._confined(raw):
            yield connection

    def _confined(self, raw: asyncpg.Connection[Any]) -> AbstractAsyncContextManager[None]:
        confined = confining(self.service)
        return _begun(raw, confined) if confined else nullcontext()

    @asynccontextmanager
    async def _pooled(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn(), self._engine.connect() as connection:
            if self._clock.is_doubtful():
                await self._clock.ask(await _driver(connection))
            yield connection

    async def connect_aside(self, within: float) -> asyncpg.Connection[Any]:
        """Open a connection that is not of the pool, to be closed by whoever asked for it."""
        return await self._connect(within, within)

    async def _connect(self, within: float = CONNECTING, command_timeout: float = STATEMENT) -> asyncpg.Connection[Any]:
        """Open a connection, with the password that is in the file now."""
        settings = {"application_name": f"sliceline-{self.service}"}

        def opened() -> Awaitable[asyncpg.Connection[Any]]:
            password = password_in(self._password_file.read_text()) if self._password_file else None
            return asyncpg.connect(
                self._url,
                password=password,
                timeout=within,
                command_timeout=command_timeout,
                server_settings=settings,
            )

        if self._password_file is None:
            return await opened()
        return await repeat(opened, _BEING_CHANGED, lambda error: isinstance(error, asyncpg.InvalidPasswordError))

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return self._share.part() if self._share else nullcontext()

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()


def _limiting(patience: timedelta) -> str:
    return f"SET LOCAL lock_timeout = {patience // timedelta(milliseconds=1)}"


@asynccontextmanager
async def _begun(raw: asyncpg.Connection[Any], said: str | None) -> AsyncIterator[None]:
    """Run the block in a transaction; what is to be said first goes in the message that begins it."""
    await raw.execute(f"BEGIN; {said}" if said else "BEGIN")
    try:
        yield
    except BaseException:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # a lost one has rolled back by itself
            await raw.execute("ROLLBACK")
        raise
    await _commit(raw)


async def _commit(raw: asyncpg.Connection[Any]) -> None:
    try:
        await raw.execute("COMMIT")
    except Exception as error:
        if is_passing(error):
            raise CommitUnknown from error
        raise


async def _driver(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    raw: asyncpg.Connection[Any] | None = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101  a checked-out connection has its driver's
    return raw


def _set_up_session(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.run_async(lambda connection: connection.execute(SESSION))


def _refuse_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that the server has closed, before anybody meets it."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError
