"""Handlers that take a batch as a set: the same events in one batch, in parts or one by one come to the same."""

import importlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import DateTime, MetaData, select, text

from backbone.consuming.handlers import BatchHandler
from deployment.catalogue import sample_of, views
from tests.all_services import SERVICES
from tests.conftest import NewDatabase
from tests.integration.one_service import Data, FakeRecord, Fed, fed

APART = ("orders", "webhooks")
LISTENERS = [name for name, service in SERVICES.items() if name not in APART and any(views({name: service}))]
"""Orders takes facts about an order that it has accepted itself, and nobody can tell it of one.

Who takes every event unread, or none, has tests of its own; webhooks does nothing without an endpoint.
"""
ORDERS = [f"order-{number}" for number in range(8)]
CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
PRICE = {"amount": 1250, "currency": "GBP"}

# All that a transaction decides about events and jobs; ids and times are drawn anew.
OUTBOX = "SELECT type, aggregateid, sequence, payload, correlationid, causationid FROM outbox ORDER BY position"
JOBS = "SELECT kind, key, data, correlationid, causationid FROM jobs ORDER BY kind, key"
DATA_KEYS = "SELECT person, wrapped FROM data_keys ORDER BY person"
SEALED = """
INSERT INTO data_keys (name, person, wrapped, made_at) SELECT person, person, 'key', '2026-01-01'
FROM unnest(CAST(:people AS text[])) AS person
"""


def whole(chance: random.Random, order: str) -> Data:
    """A new order, or a confirmed one: of the McGuffin there are a hundred, so that some orders come too late."""
    items = chance.sample(["margherita", "water", "cola", "mcguffin"], k=2)
    lines = [
        {"item": item, "quantity": chance.randint(1, 40), "unit_price": PRICE, "baked": item == "margherita"}
        for item in items
    ]
    return {
        "order": order,
        "customer": CUSTOMER | {"id": chance.choice(["ada", "bob"])},
        "fulfilment": chance.choice(["delivery", "collection"]),
        "address": "1 Mill Lane",
        "lines": lines,
        "total": PRICE,
    }


def ended(chance: random.Random, order: str) -> Data:
    return {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}


def baked(chance: random.Random, order: str) -> Data:
    return {"order": order, "by": "ann"}


def completed(chance: random.Random, order: str) -> Data:
    total = {"amount": chance.randint(0, 500), "currency": "GBP"}
    return {"order": order, "customer_id": chance.choice(["ada", "bob", "cy"]), "total": total}


def level(chance: random.Random, order: str) -> Data:
    after = {"available": chance.randint(0, 30)}
    limits = {"threshold": chance.choice([5, 10]), "ceiling": 20}
    return {"sku": chance.choice(["cola", "dough"]), "after": after, **limits, "channel": "orders", "reason": "why"}


def refund(chance: random.Random, order: str) -> Data:
    amount = {"amount": chance.choice([500, 5000]), "currency": "GBP"}
    name = f"refund-{chance.randrange(10**9)}"  # of its own: it belongs to one order
    return {"order": order, "customer": CUSTOMER, "refund": name, "amount": amount, "reason": "Cold.", "by": "ann"}


def analysed(chance: random.Random, order: str) -> Data:
    label = chance.choice(["positive", "neutral", "negative"])
    return {"review": order, "order": order, "customer": CUSTOMER, "stars": None, "score": 0.5, "label": label}


def resolved(chance: random.Random, order: str) -> Data:
    who = {"order": order, "customer_id": chance.choice(["ada", "bob", "cy"])}
    return {"case": order, **who, "note": "Called her.", "points": chance.randint(0, 3), "by": "ann"}


def alert(chance: random.Random, order: str) -> Data:
    limits = {"threshold": 10, "ceiling": 20}
    return {"sku": "cola", "kind": chance.choice(["low", "out"]), "available": 1, **limits, "channel": "orders"}


FACTS: dict[str, Callable[[random.Random, str], Data]] = {
    "order-placed": whole,
    "order-confirmed": whole,
    "order-rejected": ended,
    "order-cancelled": ended,
    "order-cancellation-requested": ended,
    "order-delayed": ended,
    "order-completed": completed,
    "order-refund-requested": refund,
    "pizza-baked": baked,
    "stock-level-changed": level,
    "stock-alert-raised": alert,
    "review-analysed": analysed,
    "case-resolved": resolved,
}


def drawn_as(event_type: str, chance: random.Random, order: str) -> Data:
    """Data of an event; of one that nothing above draws, the golden sample, told of this order."""
    draw = FACTS.get(event_type.split(".")[2])
    sample = sample_of(event_type)
    return draw(chance, order) if draw else {**sample, next(iter(sample)): order}


def facts(service: Fed, chance: random.Random) -> list[FakeRecord]:
    """A mixture of all that the service reads, most of it in a sensible order and some of it in none."""
    types = [view.TYPE for view in service.service.handlers]
    drawn = [(chance.choice(types), order) for order in ORDERS for _ in range(chance.randint(0, 4))]
    chance.shuffle(drawn)
    first = [(types[0], order) for order in ORDERS[:6]]
    return [service.record(each, drawn_as(each, chance, order)) for each, order in first + drawn]


def parts(records: Sequence[FakeRecord], chance: random.Random) -> list[Sequence[FakeRecord]]:
    cuts = sorted(chance.sample(range(1, len(records)), k=5))
    return [records[start:end] for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True)]


async def have_sealed(service: Fed) -> None:
    """Have data keys of those who may be forgotten, and of one who is not."""
    async with service.database.transaction() as tx:
        await tx.connection.execute(text(SEALED), {"people": [*ORDERS, "ada"]})


async def everything(service: Fed) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a service's own tables, what it published and what it scheduled, without times."""
    metadata: MetaData = importlib.import_module(f"services.{service.service.name}.tables").metadata
    found = {}
    async with service.database.reading() as connection:
        for table in metadata.sorted_tables:
            lasting = [column for column in table.columns if not isinstance(column.type, DateTime)]
            rows = await connection.execute(select(*lasting).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
        for name, query in (("outbox", OUTBOX), ("jobs", JOBS), ("data_keys", DATA_KEYS)):
            found[name] = [tuple(row) for row in await connection.execute(text(query))]
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", LISTENERS)
async def test_a_batch_at_once_is_the_same_as_its_events_one_by_one(
    new_database: NewDatabase, name: str, seed: int
) -> None:
    service = importlib.import_module(f"services.{name}.service").SERVICE
    assert all(isinstance(handler, BatchHandler) for handler in service.handlers.values())
    chance = random.Random(seed)
    async with (
        fed(service, new_database) as at_once,
        fed(service, new_database) as in_parts,
        fed(service, new_database) as one_by_one,
    ):
        if service.keeps_keys:
            for each in (at_once, in_parts, one_by_one):
                await have_sealed(each)
        records = facts(at_once, chance)
        await at_once.deliver(*records)
        for part in parts(records, chance):
            await in_parts.deliver(*part)
        for record in records:
            await one_by_one.deliver(record)
        expected = await everything(one_by_one)
        assert await everything(at_once) == expected
        assert await everything(in_parts) == expected
    assert any(expected.values())
