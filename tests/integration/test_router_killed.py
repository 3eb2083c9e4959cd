"""The router's processes, killed while events come: each target of a rule hears of each event once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from backbone.events import contracts
from backbone.events.envelope import Envelope, to_record
from backbone.ids import new_id
from backbone.values.brokers import Brokers
from deployment.catalogue import sample_of
from tests.conftest import NewDatabase
from tests.integration.service_process import ServiceProcess, process_of
from tests.journal import Journal
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"
DELIVERY, FORWARDED = "sliceline.router.delivery-requested.v1", "sliceline.router.event-forwarded.v1"
KILLS, PORTION = 4, 400


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "router")


@asynccontextmanager
async def replicas(url: str, kafka: Brokers, logs: Path) -> AsyncIterator[list[ServiceProcess]]:
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(
                process_of("services.router.service", logs / f"{number}.log", database_url=url, kafka=kafka)
            )
            for number in range(2)
        ]
        for each in made:
            await each.until_waiting_for()
        yield made


async def make_rules(router: ServiceProcess) -> list[str]:
    """Make a rule with two targets, and one on the bus that the first one puts events on; returns their ids."""
    pattern = {"source": ["/sliceline/orders"], "type": [PLACED]}
    bodies = [
        {"name": "first", "pattern": pattern, "targets": [{"webhook": "books"}, {"bus": "accounting"}]},
        {"name": "second", "pattern": pattern, "targets": [{"webhook": "partner"}], "bus": "accounting"},
    ]
    answers = [await router.client.post("/rules", json=body) for body in bodies]
    assert [each.status_code for each in answers] == [201, 201]
    return [str(each.json()["id"]) for each in answers]


async def send(producer: AIOKafkaProducer, orders: Sequence[str]) -> None:
    """Say of each of these orders that it was placed, as the relay of orders would."""
    for order in orders:
        key, value, headers = to_record(
            Envelope(
                id=new_id(),
                type=PLACED,
                source="/sliceline/orders",
                subject=order,
                time="2026-11-01T18:30:00.000000Z",
                dataschema=contracts.dataschema(PLACED),
                partitionkey=order,
                correlationid=new_id(),
                occurrenceid=new_id(),
                sequence=1,
                data=msgspec.json.encode({**sample_of(PLACED), "order": order}),
            )
        )
        await producer.send("orders.events", key=key, value=value, headers=headers)
    await producer.flush()


@pytest.mark.long
async def test_each_target_hears_once_of_each_event_whatever_is_killed(
    url: str, kafka: Brokers, orders_topic: None, tmp_path: Path
) -> None:
    orders = [new_id() for _ in range(KILLS * PORTION)]
    async with replicas(url, kafka, tmp_path) as routers, AIOKafkaProducer(**kafka.client()) as producer:
        first, second = await make_rules(routers[0])
        for number in range(KILLS):
            sending = asyncio.create_task(send(producer, orders[number * PORTION : (number + 1) * PORTION]))
            await asyncio.sleep(random.uniform(0, 0.5))
            victim = routers[number % 2].process
            await victim.kill()
            victim.launch()
            await sending
        told = await _told(kafka, url, orders)
    wanted = [(DELIVERY, first), (FORWARDED, first), (DELIVERY, second)]
    assert told == Counter({(order, *each): 1 for order in orders for each in wanted})


async def _told(kafka: Brokers, url: str, orders: Sequence[str]) -> Counter[tuple[str, str, str]]:
    """Count what was told, by order, type and rule, when all events are handled and all that came of them is out.

    The same event twice is one: a relay that was killed may send it again, and who reads it knows it by its id.
    """
    journal = Journal(kafka)
    try:
        await eventually(lambda: _is_settled(url, orders), 90, what="all events handled and published", every=0.2)
        await journal.read()
    finally:
        await journal.close()
    known = set(orders)
    events = [each for each in journal.events() if each.partitionkey in known and each.source == "/sliceline/router"]
    return Counter((each.partitionkey, each.type, _rule_of(each)) for each in events)


def _rule_of(event: Envelope) -> str:
    data = msgspec.json.decode(event.data)
    return str(data["trail"][-1] if event.type == FORWARDED else data["rule"])


async def _is_settled(url: str, orders: Sequence[str]) -> bool:
    connection = await asyncpg.connect(url)
    try:
        handled = await connection.fetchval("SELECT count(*) FROM sequences WHERE key = ANY($1)", orders)
        waiting = await connection.fetchval("SELECT count(*) FROM outbox")
        return bool(handled == len(orders) and waiting == 0)
    finally:
        await connection.close()
