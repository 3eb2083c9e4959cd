"""What a topic tells of its service's events, whatever else somebody has written into it, and however much it is."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, codec
from aiokafka.errors import KafkaTimeoutError
from aiokafka.record.util import calc_crc32c

from backbone.events.envelope import LARGEST_SEQUENCE
from deployment import published
from deployment.belonging import DoNotBelong, settle
from tests.conftest import NewDatabase
from tests.integration.test_belonging import kept, start
from tests.integration.test_parking import Record, record_of, send, send_raw, with_header
from tests.integration.things import Things

SNAPPY, XERIAL = 2, b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)

Stray = Callable[[Things], Awaitable[None]]


def bare(key: bytes, sequence: bytes) -> Stray:
    """A record of somebody who knows nothing of us but one header's name."""
    return lambda thing: send(thing, (key, b"x", [("ce_sequence", sequence)]))


def altered(header: str, value: bytes) -> Stray:
    return lambda thing: send(thing, with_header(header, value)(record_of(thing, "a", 99)))


async def tampered(thing: Things) -> None:
    async with thing.raw_producer() as producer:
        await send_raw(producer, thing.topic, [(b"a", b"{}", [("tampered", b"1")])])


async def compressed(thing: Things) -> None:
    """By a codec that is not installed (see `no_snappy`). It has a form in which nothing is compressed."""
    async with thing.raw_producer() as producer:
        builder = producer.create_batch()
        builder.append(key=b"a", value=b"{}", headers=[], timestamp=None)
        builder.close()
        sound = bytes(builder._build())
        records = sound[61:]
        block = bytes([len(records), (len(records) - 1) << 2]) + records
        body = struct.pack(">h", SNAPPY) + sound[23:61] + XERIAL + struct.pack(">i", len(block)) + block
        builder._buffer = bytearray(
            sound[:8] + struct.pack(">i", len(body) + 9) + sound[12:17] + struct.pack(">I", calc_crc32c(body)) + body
        )
        await (await producer.send_batch(builder, thing.topic, partition=0))


async def ended_transaction(thing: Things) -> None:
    producer = AIOKafkaProducer(**thing.kafka.client(), transactional_id=thing.name)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(thing.topic, key=b"a", value=b"{}", partition=0)
    finally:
        await producer.stop()


STRAYS: dict[str, Stray] = {
    "an unknown key": bare(b"x", b"1"),
    "a sequence that is too high": bare(b"a", b"1000000"),
    "a sequence beyond bigint": bare(b"a", b"9" * 20),
    "a sequence beyond what Python reads": bare(b"a", b"9" * 5000),
    "a key with NUL": bare(b"a\x00", b"3"),
    "a key that is not text": bare(b"\xff", b"3"),
    "a tombstone": lambda thing: send(thing, (b"a", None, [("ce_sequence", b"3")])),
    "an event of somebody else": altered("ce_source", b"/elsewhere/things"),
    "an event whose sequence is beyond bigint": altered("ce_sequence", b"%d" % (LARGEST_SEQUENCE + 1)),
    "a header name that is not text": tampered,
    "a codec that is not installed": compressed,
    "the mark of a transaction": ended_transaction,
}


@pytest.fixture(autouse=True)
def no_snappy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before aiokafka's compression was installed; a codec that Kafka learns one day is no different."""
    monkeypatch.setattr(codec, "cramjam", None)


async def published_by(thing: Things, *numbers: int) -> None:
    await thing.publish("a", *numbers)
    await send(thing, *(record_of(thing, "a", number) for number in numbers))


async def counted(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        return {row["key"]: row["last"] for row in await connection.fetch("SELECT key, last FROM sequences")}
    finally:
        await connection.close()


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS)
async def test_a_stray_record_neither_stops_a_start_nor_is_counted_nor_hides_lost_tables(
    thing: Things, new_database: NewDatabase, stray: Stray
) -> None:
    await published_by(thing, 0, 1)
    await stray(thing)
    await stray(thing)
    await start(thing)
    found = await kept(thing)
    assert found is not None
    lost = {thing.name: await asyncio.to_thread(new_database, "orders")}
    with pytest.raises(DoNotBelong, match="its topic holds event 2 of a; its tables know of none"):
        await settle(found, thing.kafka, lost, None, print)
    await settle(found, thing.kafka, lost, "read", print)
    assert await counted(lost[thing.name]) == {"a": 2}


async def test_events_around_unreadable_ones_are_all_counted(thing: Things) -> None:
    strange: Record = (b"a", b"{}", [("tampered", b"1")])
    async with thing.raw_producer() as producer:
        await send_raw(producer, thing.topic, [record_of(thing, "before", 4), strange, strange])
        await send(thing, record_of(thing, "between", 5))
        await send_raw(producer, thing.topic, [record_of(thing, "again", 6), strange])
    await compressed(thing)
    await send(thing, record_of(thing, "after", 7))
    found = await kept(thing)
    assert found is not None
    everything = await published.all_of(thing.kafka, thing.name, found.logs, print)
    assert everything == {"before": 5, "between": 6, "again": 7, "after": 8}


async def test_a_log_that_takes_long_to_read_is_read_with_progress_told(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the five events that are counted on, each comes when the one before was told of and time has gone by."""
    monkeypatch.setattr(published, "PATIENCE", 3.0)
    monkeypatch.setattr(published, "TELL_EVERY", 0.0)
    await published_by(thing, 0)
    found = await kept(thing)
    assert found is not None
    logs = {place: replace(log, end=log.end + (5 if log.end else 0)) for place, log in found.logs.items()}
    said: list[str] = []
    reading = asyncio.create_task(published.all_of(thing.kafka, thing.name, logs, said.append))
    for number in range(1, 6):
        await asyncio.sleep(0.8)  # together longer than the patience
        await send(thing, record_of(thing, "a", number))
    assert await reading == {"a": 6}
    assert any(line == f"1 of 6 old events looked at, in {thing.topic}" for line in said)


async def test_a_log_that_brings_nothing_more_is_given_up_with_its_place(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "PATIENCE", 0.5)
    await published_by(thing, 0, 1)
    found = await kept(thing)
    assert found is not None
    logs = {place: replace(log, end=log.end and log.end + 1) for place, log in found.logs.items()}
    with pytest.raises(KafkaTimeoutError, match=f"{thing.topic}, partition 0: nothing came .* at offset 2 of 3"):
        await published.all_of(thing.kafka, thing.name, logs, print)
