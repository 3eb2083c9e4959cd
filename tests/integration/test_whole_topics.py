"""A service that takes every event of a topic: each once, as it came, whatever its type and version."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from fastapi import APIRouter

from backbone.consuming import discarding
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.handlers import BatchHandler
from backbone.events.payload import Event, Unread, every_event_of
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from deployment.catalogue import sample_of
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed

V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"


async def note(events: Sequence[Event[Unread]], tx: Tx) -> None:
    """Write down what came."""
    for event in events:
        await tx.raw.execute("INSERT INTO heard VALUES ($1, $2)", event.type, event.data.text.decode())


# Any name will do that has a database of its own; what the service publishes and answers is none of this test's.
LISTENER: Service[Any] = Service(
    "loyalty", Settings, APIRouter(), handlers={every_event_of("orders.events"): BatchHandler(note)}
)


@pytest.fixture
async def listener(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(LISTENER, new_database) as service:
        async with service.database.transaction() as tx:
            await tx.raw.execute("CREATE TABLE heard (type text, text text)")
        yield service


async def heard(service: Fed) -> list[str]:
    async with service.database.transaction() as tx:
        return [row["type"] for row in await tx.raw.fetch("SELECT type FROM heard ORDER BY type")]


def as_one_happening(first: FakeRecord, second: FakeRecord) -> tuple[FakeRecord, FakeRecord]:
    """Two versions, as a writer publishes them: of the same occurrence."""
    occurrence = next(value for name, value in first.headers if name == "ce_occurrenceid")
    second.headers[:] = [(name, occurrence if name == "ce_occurrenceid" else value) for name, value in second.headers]
    return first, second


async def test_every_version_of_a_happening_comes_and_each_once(listener: Fed) -> None:
    both = as_one_happening(listener.record(V1, sample_of(V1)), listener.record(V2, sample_of(V2)))
    await listener.deliver(*both, *both)
    await listener.deliver(*both)
    assert await heard(listener) == [V1, V2]


async def test_an_event_without_a_contract_comes_too(listener: Fed) -> None:
    record = listener.record(V1, {"order": "a"})
    record.headers[:] = [
        (name, b"com.example.others" if name == "ce_type" else value) for name, value in record.headers
    ]
    await listener.deliver(record)
    assert await heard(listener) == ["com.example.others"]


async def test_a_discarded_event_does_not_come_again(listener: Fed) -> None:
    record = listener.record(V1, sample_of(V1))
    processor = BatchProcessor(LISTENER.name, LISTENER.handlers, listener.database)
    incoming = read(record, processor.views)
    await processor.park(Batch([incoming], {incoming.place: (0, 1)}), ValueError("no"))
    async with listener.database.transaction() as tx:
        [letter] = await tx.raw.fetch("SELECT id FROM dead_letters")
        which = discarding.Which(letter=letter["id"])
        assert await discarding.discard(tx, LISTENER.name, which, actor="ada", reason="never mind")
    await listener.deliver(record)
    assert await heard(listener) == []
