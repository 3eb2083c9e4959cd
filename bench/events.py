"""Makes events to measure with: order-placed, as orders really publishes it, in any number."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from backbone.events import buses, contracts
from backbone.events.envelope import Envelope, Headers, Undecodable, from_record, parse_type, to_record
from backbone.events.payload import Payload
from backbone.events.topics import DEFAULT_BUS
from backbone.ids import new_id
from backbone.values.brokers import Brokers
from services.orders.events import Customer, Line, Money, OrderPlaced

TOPIC = "orders.events"
PARTITIONS = buses.find(DEFAULT_BUS).partitions
SOURCE = "/sliceline/orders"
SCHEMA = "https://sliceline.invalid/schemas/orders/order-placed.v1.json"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
CUSTOMER = Customer("ada", "Ada Lovelace", "ada@example.com")


Record = tuple[bytes, bytes, Headers]


def order_placed(order: str, item: str) -> Payload:
    """Make the payload of an order of one pizza."""
    price = Money(1200, "GBP")
    return OrderPlaced(
        order=order,
        customer=CUSTOMER,
        fulfilment="delivery",
        address="1 Mill Lane",
        lines=(Line(item, 1, price, True),),
        total=price,
    )


def records(count: int, items: int, step: int = 1) -> Iterator[Record]:
    """Yield `count` orders as Kafka records, over `items` SKUs whose numbers are `step` apart: sku-00000001 …"""
    for number in range(count):
        order = new_id()
        payload = order_placed(order, f"sku-{(number % items + 1) * step:08}")
        yield record(payload.TYPE, msgspec.json.encode(payload), order)


def record(event_type: str, data: bytes, key: str, **more: Any) -> Record:
    """Make a Kafka record of an event as its service would publish it first; `more` are further attributes."""
    return to_record(
        Envelope(
            id=new_id(),
            type=event_type,
            source=f"/sliceline/{parse_type(event_type).service}",
            subject=key,
            time=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            dataschema=contracts.dataschema(event_type),
            partitionkey=key,
            correlationid=key,
            occurrenceid=new_id(),
            sequence=1,
            data=data,
            **more,
        )
    )


async def fill_topic(kafka: Brokers, count: int, items: int, step: int = 1) -> None:
    """Publish `count` orders to the topic of orders."""
    producer = AIOKafkaProducer(**kafka.client(), linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    try:
        for key, value, headers in records(count, items, step):
            await producer.send(TOPIC, key=key, value=value, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


class Ends:
    """Counts the records of topics by asking the broker for their ends, which costs nobody anything."""

    def __init__(self, kafka: Brokers) -> None:
        self._client = AIOKafkaConsumer(**kafka.client())

    async def __aenter__(self) -> "Ends":
        await self._client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.stop()

    async def count(self, topic: str) -> int:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends: dict[Any, int] = await self._client.end_offsets(places)
        return sum(ends.values())

    async def newest(self, topic: str) -> Any:
        """Return the record that was written last."""
        ends = await self._client.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        found = []
        for place, end in ends.items():
            if end:
                self._client.assign([place])
                self._client.seek(place, end - 1)
                found.append(await self._client.getone())
        return max(found, key=lambda record: record.timestamp)

    async def reach(self, topic: str, count: int, timeout: float) -> int:
        """Wait until the topic holds `count` records; return how many it holds. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while (now := await self.count(topic)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return now


def outbox_rows(count: int) -> str:
    """Return SQL that puts `count` orders into an outbox, each with a key of its own, as tx.publish would."""
    payload = msgspec.json.encode(order_placed(new_id(), "margherita")).decode()
    return f"""
        INSERT INTO outbox (id, aggregatetype, aggregateid, type, source, subject, time, dataschema, correlationid,
                            occurrenceid, sequence, traceparent, payload)
        SELECT event, 'orders', key, '{OrderPlaced.TYPE}', '{SOURCE}', key, now(), '{SCHEMA}', key, event, 1,
               '{TRACEPARENT}', '{payload}'
        FROM (SELECT gen_random_uuid()::text AS event, gen_random_uuid()::text AS key
              FROM generate_series(1, {count})) AS made
    """


async def readable(kafka: Brokers) -> str:
    """Say whether our consumers could read the record that was published last."""
    async with Ends(kafka) as ends:
        record = await ends.newest(TOPIC)
    try:
        from_record(record.key, record.value, record.headers)
    except Undecodable as error:
        return f"no: {error.reason}"
    return "yes"
