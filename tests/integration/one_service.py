"""One service against a real database: fed with events as its consumer would be, and asked over HTTP."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from sqlalchemy import text
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.application import create_application
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.context import Context
from backbone.events import contracts
from backbone.events.envelope import Envelope, to_record, topic_of
from backbone.http.bodies import again
from backbone.http.wire.server import Server
from backbone.ids import new_id
from backbone.running.faults import is_passing
from backbone.service import Service
from backbone.storage.database import Database
from tests.conftest import NewDatabase
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

Data = Mapping[str, Any]


@dataclass(frozen=True)
class FakeRecord:
    """What the consumer sees of a Kafka record."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    partition: int = 0
    timestamp: int | None = None


@dataclass
class Fed:
    """A service's database, the means to feed it, and a client of its API."""

    service: Service[Any]
    database: Database
    client: httpx.AsyncClient
    context: Context[Any]
    _sequence: int = 0

    async def feed(self, *events: tuple[str, Data]) -> None:
        """Handle these (type, data) as one batch, each a new occurrence."""
        await self.deliver(*(self.record(event_type, data) for event_type, data in events))

    async def hear(self, event: tuple[str, Data], story: str | None = None) -> str:
        """Handle one event of a story, a new one unless it is given; returns the story's correlation id."""
        story = story or new_id()
        await self.deliver(self.record(*event, story))
        return story

    def record(self, event_type: str, data: Data, story: str | None = None) -> FakeRecord:
        """The record of one event; the same record again is the same occurrence again."""
        self._sequence += 1
        key, value, headers = to_record(_envelope(event_type, data, self._sequence, story or new_id()))
        return FakeRecord(topic_of(event_type), 0, key, value, headers)

    async def deliver(self, *records: FakeRecord, partition: int = 0) -> None:
        """Handle records as one batch, all from this partition of their topics."""
        processor = BatchProcessor(self.service.name, self.service.handlers, self.database)
        starts = {each.topic: await self._next_offset(each.topic, partition) for each in records}
        placed = [replace(each, partition=partition) for each in records]
        ranges = {
            (topic, partition): (start, start + sum(each.topic == topic for each in records))
            for topic, start in starts.items()
        }
        await processor.apply(Batch([read(each, processor.views) for each in placed], ranges))

    async def insist(self, *records: FakeRecord, partition: int = 0) -> None:
        """Deliver one by one, each again while its fault is a passing one, as a consumer would."""
        for record in records:
            while not await self._delivered(record, partition):
                pass

    async def _delivered(self, record: FakeRecord, partition: int) -> bool:
        try:
            await self.deliver(record, partition=partition)
        except Exception as error:
            if not is_passing(error):
                raise
            return False
        return True

    async def published(self, key: str) -> list[tuple[str, dict[str, Any]]]:
        """What went into the outbox under a key, in order: (type, data)."""
        query = text("SELECT type, payload FROM outbox WHERE aggregateid = :key ORDER BY position")
        async with self.database.reading() as connection:
            rows = (await connection.execute(query, {"key": key})).all()
        return [(row.type, json.loads(row.payload)) for row in rows]

    async def _next_offset(self, topic: str, partition: int) -> int:
        query = text("SELECT next_offset FROM consumer_offsets WHERE topic = :topic AND partition = :partition")
        async with self.database.reading() as connection:
            return (await connection.execute(query, {"topic": topic, "partition": partition})).scalar() or 0


async def until_a_lock_is_awaited(database: Database) -> None:
    """Return when some transaction waits for a row that another one holds."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.reading() as connection:

        async def is_awaited() -> bool:
            return bool((await connection.execute(query)).scalar())

        await eventually(is_awaited, 10)


@asynccontextmanager
async def fed(service: Service[Any], new_database: NewDatabase, **settings: Any) -> AsyncIterator[Fed]:
    """The service on a fresh database, with a client of its API: somebody, unless another issuer is to be believed."""
    url = await asyncio.to_thread(new_database, service.name)
    context = Context(_settings(service, url, settings), Database(url, service.name))
    let_in = {} if "issuer" in settings else by(SOMEBODY)
    transport = httpx.ASGITransport(in_one_piece(create_application(service, context)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=let_in) as client:
        yield Fed(service, context.database, client, context)
    await context.close()


def _settings(service: Service[Any], url: str, given: dict[str, Any]) -> Any:
    """Another issuer than that of all tests tells by itself where it is asked."""
    keys = {"issuer_keys": None, "issuer_tokens": None} if "issuer" in given else {}
    return service.settings(database_url=url, **keys, **given)


def in_one_piece(app: ASGIApp) -> ASGIApp:
    """The application, given bodies as a server gives small ones: httpx hands out an end of its own after each."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        while first.get("more_body"):
            more = await receive()
            first = {**more, "body": first["body"] + more.get("body", b"")}
        await app(scope, again(first, receive), send)

    return whole


@contextmanager
def serving(service: Service[Any], url: str, **settings: Any) -> Iterator[str]:
    """The service's API on a port of its own, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # connections wait there until it serves
        given = _settings(service, url, settings)
        context = Context(given, Database(url, service.name))
        server = Server(create_application(service, context))
        thread = threading.Thread(target=lambda: asyncio.run(_serve(server, context, listening)))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


async def _serve(server: Server, context: Context[Any], listening: socket.socket) -> None:
    serving = asyncio.create_task(server.serve([listening]))
    while not server.should_exit:  # noqa: ASYNC110  set by another thread
        await asyncio.sleep(0.02)
    context.stopping.set()
    await serving
    await context.close()


def _envelope(event_type: str, data: Data, sequence: int, story: str) -> Envelope:
    key = data.get("order") or data.get("sku") or str(next(iter(data.values())))  # what it is about comes first
    return Envelope(
        id=new_id(),
        type=event_type,
        source=f"/{'/'.join(event_type.split('.')[:2])}",
        subject=key,
        time="2026-11-01T18:30:00.000000Z",
        dataschema=contracts.dataschema(event_type),
        partitionkey=key,
        correlationid=story,
        occurrenceid=new_id(),
        sequence=sequence,
        data=json.dumps(data).encode(),
    )
