"""The checkers are checked: of a bug planted on purpose at least one of them tells, and without it none does."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from backbone.consuming.consumer import Consumer
from backbone.events.envelope import Envelope, Undecodable, from_record, name_without_version
from backbone.events.payload import Event
from backbone.publishing.publisher import Publisher
from backbone.publishing.relay import Relay
from backbone.storage.database import Tx
from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.books import QUERIES, Books, Row
from tests.conftest import NewDatabase
from tests.faults import bugs, foreign, promises, taps
from tests.faults.bugs import Plant
from tests.faults.history import OK, PLACE, UNKNOWN, Known, Told, contradictions
from tests.integration.one_service import Fed, fed
from tests.integration.relaying import outbox_is_empty
from tests.integration.test_group_commit import ORDER
from tests.integration.test_inventory import ended, placed
from tests.integration.test_payments import Desk, desk, sandbox_url
from tests.integration.things import Things, running
from tests.invariants import broken_promises
from tests.waiting import eventually

fixtures = desk, sandbox_url
SPOILT = "b"
NO_BUG = "none"


class Unlucky(Exception):
    """What rolls a transaction back."""


@pytest.fixture
def planted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The bug that the test names, if it does; whether it names one."""
    table, name = request.param  # type: tuple[Mapping[str, Plant], str]
    if name != NO_BUG:
        table[name](monkeypatch.setattr, request.getfixturevalue("kafka"))
    return name != NO_BUG


def each_of(table: Mapping[str, Plant]) -> pytest.MarkDecorator:
    """A test for each bug of the table, and one without any."""
    names = (NO_BUG, *table)
    return pytest.mark.parametrize("planted", [(table, name) for name in names], ids=names, indirect=True)


@each_of(bugs.OF_EVENTS)
async def test_a_bug_on_the_way_of_events_is_told_of(
    planted: bool, thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    taps.note_effects(monkeypatch.setattr)
    _fail_once(monkeypatch, Publisher, "_send_in_turn", KafkaTimeoutError())
    async with thing.database.transaction() as tx:
        await taps.lay(tx.raw)
    await _live(thing)
    assert bool(await _found(thing)) is planted, await _found(thing)


@each_of(bugs.OF_COMMANDS)
async def test_a_bug_where_orders_are_accepted_is_told_of(planted: bool, new_database: NewDatabase) -> None:
    history: list[Told] = []
    async with fed(ORDERS, new_database) as orders:
        history += [await _placed(orders, "twice") for _ in range(2)]
        async with orders.database.transaction() as tx:
            await tx.raw.execute("ALTER TABLE orders ADD CONSTRAINT full_up CHECK (customer_id = 'twice')")
        history.append(await _placed(orders, "refused"))
        rows = await orders.database.fetch("SELECT id, customer_id, status FROM orders")
    found = list(contradictions(history, [Known(*row) for row in rows]))
    assert bool(found) is planted, found


@each_of({"charges under a fresh key": bugs.charges_under_a_fresh_key})
async def test_a_bug_that_charges_twice_is_told_of(planted: bool, desk: Desk) -> None:
    await desk.mood(timeout_after_charging=True, hang_seconds=0)
    order = await desk.place()
    async with desk.working():
        await eventually(lambda: desk.ledger(order), 30)
        await desk.mood()
        await desk.until(order, "received")
    books = _books(
        orders=[{"id": order, "customer_id": "ada", "status": "confirmed", "facts": [], "total": 2400}],
        payments=await desk.payments.database.fetch(QUERIES["payments"]),
        tickets=[{"id": order, "status": "waiting"}],
        reservations=[{"id": order, "status": "open", "lines": []}],
    )
    books.ledger = (await desk.sandbox.get("/ledger", params={"reference": order})).json()
    found = list(broken_promises(books, set()))
    assert bool(found) is planted, found


@each_of({"releases twice": bugs.releases_twice})
async def test_a_bug_that_releases_stock_twice_is_told_of(planted: bool, new_database: NewDatabase) -> None:
    async with fed(INVENTORY, new_database) as inventory:
        await inventory.feed(placed("kept", water=2), placed("given-up", water=2))
        await inventory.feed(ended("given-up", "cancelled"))
        await inventory.feed(ended("given-up", "rejected"))
        tables = {name: await inventory.database.fetch(QUERIES[name]) for name in ("stock", "reservations")}
    books = _books(stock=tables["stock"], reservations=tables["reservations"])
    found = list(broken_promises(books, set()))
    assert bool(found) is planted, found


async def _live(thing: Things) -> None:
    """Have happen what the way of an event meets.

    A send fails, a transaction rolls back, one is late, records come again, one is broken, and a handler fails once.
    """
    for key in "abc":
        await thing.publish(key, 1, 2, 3)
    with suppress(Unlucky):
        async with thing.database.transaction() as tx:
            tx.publish(thing.happened(1), key="rolled-back")
            await tx.flush()
            raise Unlucky
    async with running(Relay(thing.database, thing.kafka, poll=0.05)):
        async with thing.database.transaction() as late:
            late.publish(thing.happened(1), key="late")
            await late.flush()
            late._outgoing.clear()
            await thing.publish("early", 1)
            await eventually(lambda: outbox_is_empty(thing), 15)
        await eventually(lambda: outbox_is_empty(thing), 15)
        said = await foreign.records(thing.kafka, {}, _places(thing))
        await foreign.send_again(thing.kafka, said, random.Random(1))
        broken = foreign.headers_of(SPOILT, thing.payload.TYPE)
        await foreign.send(thing.kafka, SPOILT, b"{}", broken, thing.topic)
        await thing.publish(SPOILT, 4)
        await eventually(lambda: outbox_is_empty(thing), 15)
    async with running(_consumer(thing)):
        await eventually(lambda: _is_read(thing), 15)


def _consumer(thing: Things) -> Consumer:
    errors = iter([OSError("once")])

    async def note(event: Event[Any], tx: Tx) -> None:
        await thing.note(event, tx)
        for error in errors:
            raise error

    return Consumer(thing.name, thing.service(note).handlers, thing.database, thing.kafka)


async def _found(thing: Things) -> list[str]:
    """All that the checks say of what is left behind."""
    topics = [(thing.topic, await _envelopes(thing))]
    async with thing.database.transaction() as tx:
        written, effects = await taps.written(tx.raw), await taps.effects(tx.raw)
        letters = await taps.letters(tx.raw)
    names = {name_without_version(thing.payload.TYPE)}
    return [
        *promises.published_once_written(written, topics, {SPOILT}),
        *promises.handled_once(effects),
        *promises.handled_in_order(effects),
        *promises.handled_all(thing.name, names, topics, effects, {SPOILT}),
        *promises.letters_hold_their_keys(letters, effects),
    ]


async def _envelopes(thing: Things) -> list[Envelope]:
    found = []
    for record in await foreign.records(thing.kafka, {}, _places(thing)):
        with suppress(Undecodable):
            found.append(from_record(record.key, record.value, record.headers))
    return found


def _places(thing: Things) -> list[TopicPartition]:
    return [TopicPartition(thing.topic, number) for number in range(3)]


async def _is_read(thing: Things) -> bool:
    ends: dict[TopicPartition, int] = {}
    await foreign.records(thing.kafka, ends, _places(thing))
    rows = await thing.database.fetch("SELECT partition, next_offset FROM consumer_offsets")
    return {row["partition"]: row["next_offset"] for row in rows if row["next_offset"]} == {
        place.partition: end for place, end in ends.items()
    }


async def _placed(orders: Fed, customer: str) -> Told:
    body = {**ORDER, "customer": {"id": customer, "name": "Ada", "email": "ada@example.com"}}
    answer = await orders.client.post("/orders", json=body, headers={"Idempotency-Key": customer})
    accepted = answer.status_code == 202
    order = answer.json()["id"] if accepted else ""
    return Told(PLACE, customer, OK if accepted else UNKNOWN, 0, 1, answer.status_code, order)


def _books(**tables: Iterable[Any]) -> Books:
    """Books in which nothing else is written."""
    whole = defaultdict[str, list[Row]](list, {name: [dict(row) for row in rows] for name, rows in tables.items()})
    return Books(whole, {}, [], [], [], [], datetime.now(UTC), [], {})


def _fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception) -> None:
    errors, function = iter([error]), getattr(owner, name)

    async def failing(*given: Any) -> Any:
        for each in errors:
            raise each
        return await function(*given)

    monkeypatch.setattr(owner, name, failing)
