"""Webhooks with real receivers, workers that run, and a clock that can be moved on."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from backbone.context import Context
from backbone.jobs.worker import Worker
from backbone.storage.database import Database
from deployment.catalogue import sample_of
from services.webhooks.service import SERVICE
from services.webhooks.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.receivers import Listener, Request, Said, listening
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"
BAKED = "sliceline.kitchen.pizza-baked.v1"
_MOMENTS = """
SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
WHERE data_type = 'timestamp with time zone' AND table_name = ANY($1) GROUP BY table_name
"""
_TABLES = ("endpoints", "deliveries", "messages", "attempts", "jobs")
_UNDER_WAY = "SELECT count(*) FROM jobs WHERE lease IS NOT NULL OR due <= clock_timestamp()"


@dataclass
class Receiver:
    """Gets webhooks: proves itself, and answers events as it is told."""

    listener: Listener
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    decide: Callable[[dict[str, Any]], Awaitable[int]] | None = None
    echo: Callable[[str], bytes] = str.encode
    pings: list[Request] = field(default_factory=list)
    calls: list[Request] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    """The events that were answered 200, in the order in which they came."""
    under_way: int = 0
    most_under_way: int = 0

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.taken]

    async def answer(self, request: Request) -> Said:
        event = json.loads(request.body)
        if event.get("type") == "sliceline.webhooks.ping.v1":
            self.pings.append(request)
            return 200, {}, self.echo(event["data"]["challenge"])
        self.calls.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            status = await self.decide(event) if self.decide else self.status
        finally:
            self.under_way -= 1
        if status < 300:
            self.taken.append(event)
        return status, self.headers if status >= 300 else {}, b"thanks"


@dataclass
class World:
    """The service, its workers, and three receivers."""

    fed: Fed
    context: Context[Settings]
    receivers: list[Receiver]
    workers: list[Worker]

    async def endpoint(self, receiver: Receiver, *types: str, proven: bool = True, **wanted: Any) -> dict[str, Any]:
        """Create an endpoint for a receiver, of these types or all, and wait until it has proven itself."""
        pattern = {"type": [{"wildcard": each} for each in types or ("*",)]}
        body = {"url": receiver.url, "pattern": pattern, **wanted}
        answer = await self.fed.client.post("/endpoints", json=body)
        assert answer.status_code == 201, answer.text
        endpoint: dict[str, Any] = answer.json()
        if proven:
            await self.until_status(endpoint["id"], "active")
        return endpoint

    async def until_status(self, endpoint: str, status: str) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            shown: dict[str, Any] = (await self.fed.client.get(f"/endpoints/{endpoint}")).json()
            return shown if shown["status"] == status else None

        return await eventually(found, 20)

    async def hear(self, *keys: str, event_type: str = PLACED) -> None:
        """Hear one event about each of these orders, as one batch."""
        sample = sample_of(event_type)
        await self.fed.feed(*((event_type, {**sample, "order": key}) for key in keys))

    async def deliveries(self, endpoint: str, status: str = "") -> list[dict[str, Any]]:
        query = {"status": status} if status else {}
        answer = await self.fed.client.get(f"/endpoints/{endpoint}/deliveries", params={**query, "limit": 200})
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def until_idle(self) -> None:
        """Wait until no job runs and none is due."""

        async def is_idle() -> bool:
            async with self.fed.database.transaction() as tx:
                return bool(await tx.raw.fetchval(_UNDER_WAY) == 0)

        await eventually(is_idle, 30)

    async def pass_time(self, span: timedelta) -> None:
        """Let so much time pass: whatever is due in it is done when it is due, one after the other."""
        passed = timedelta()
        while passed < span:
            await self.until_idle()
            next_due = await self._next_due()
            jump = min(span - passed, max(next_due, timedelta()) + timedelta(milliseconds=5) if next_due else span)
            if await self._jump(jump):
                passed += jump
        await self.until_idle()

    async def park_first(self, endpoint: str) -> None:
        """Give the oldest waiting delivery up, as a day of failures would."""
        async with self.fed.database.transaction() as tx:
            await tx.raw.execute(
                """
                UPDATE deliveries SET status = 'parked' WHERE endpoint_id = $1 AND position =
                  (SELECT min(position) FROM deliveries WHERE endpoint_id = $1 AND status = 'waiting')
                """,
                endpoint,
            )

    async def attempt_times(self, endpoint: str) -> list[datetime]:
        """When the attempts at an endpoint began, in order."""
        async with self.fed.database.transaction() as tx:
            rows = await tx.raw.fetch("SELECT at FROM attempts WHERE endpoint_id = $1 ORDER BY at", endpoint)
        return [row["at"] for row in rows]

    async def stop(self) -> None:
        """Stop the workers, as the end of a process does."""
        self.context.stopping.set()
        for worker in self.workers:
            worker.stop()
        await eventually(lambda: all(not worker._running for worker in self.workers), 10)

    @asynccontextmanager
    async def again(self) -> AsyncIterator[None]:
        """The workers of a process that was started anew."""
        async with _context(self.fed.database) as context:
            workers = [Worker(kind, work, context) for kind, work in SERVICE.jobs.items()]
            async with _working(workers, [context]):
                yield

    async def _next_due(self) -> timedelta | None:
        async with self.fed.database.transaction() as tx:
            found: timedelta | None = await tx.raw.fetchval("SELECT min(due) - clock_timestamp() FROM jobs")
        return found

    async def _jump(self, span: timedelta) -> bool:
        """Move every moment in the tables into the past, unless a job has begun meanwhile."""
        async with self.fed.database.transaction() as tx:
            await tx.raw.execute("LOCK TABLE endpoints, deliveries, messages, attempts, jobs IN EXCLUSIVE MODE")
            if await tx.raw.fetchval(_UNDER_WAY):
                return False
            for row in await tx.raw.fetch(_MOMENTS, list(_TABLES)):
                moved = ", ".join(f"{name} = {name} - $1::interval" for name in row["columns"])
                await tx.raw.execute(f"UPDATE {row['table_name']} SET {moved}", span)
        for kind in SERVICE.jobs:
            self.fed.database.wakeups.jobs(kind).set()
        return True


@asynccontextmanager
async def world(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, *, replicas: int = 1, **settings: str
) -> AsyncIterator[World]:
    """The service with receivers on loopback, which a setting allows."""
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening("127.0.0.1")) for _ in range(3)]
        monkeypatch.setenv("SLICELINE_WEBHOOK_NETWORKS", "127.0.0.1")
        monkeypatch.setenv("SLICELINE_WEBHOOK_PORTS", ",".join(str(each.port) for each in listeners))
        for name, value in settings.items():
            monkeypatch.setenv(f"SLICELINE_{name.upper()}", value)
        receivers = [Receiver(each) for each in listeners]
        for receiver, listener in zip(receivers, listeners, strict=True):
            listener.answers = receiver.answer
        service = await stack.enter_async_context(fed(SERVICE, new_database))
        contexts = [await stack.enter_async_context(_context(service.database)) for _ in range(replicas)]
        workers = [Worker(kind, work, each) for each in contexts for kind, work in SERVICE.jobs.items()]
        await stack.enter_async_context(_working(workers, contexts))
        yield World(service, contexts[0], receivers, workers)


@asynccontextmanager
async def _context(database: Database) -> AsyncIterator[Context[Settings]]:
    context = Context(Settings(database_url=url_of(database)), database)
    yield context
    for client in context.clients.values():
        await client.aclose()


def url_of(database: Database) -> str:
    return database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def _working(workers: Collection[Worker], contexts: Collection[Context[Any]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    yield
    for context in contexts:
        context.stopping.set()
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)
