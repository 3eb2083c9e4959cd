"""Whoever may write to a topic writes as he likes: compressed, in transactions; and a disk may damage what is kept."""

import asyncio
import struct
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from backbone.events import contracts
from local import kafka as local_kafka
from tests.conftest import NewDatabase
from tests.integration.test_parking import consumer_of, letters, reached, record_of, send, send_at_once
from tests.integration.things import Things, running, things
from tests.waiting import eventually


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_compressed_record_is_handled_like_any_other(thing: Things, compression: str) -> None:
    producer = AIOKafkaProducer(**thing.kafka.client(), compression_type=compression, linger_ms=50)
    await producer.start()
    try:
        for number in range(5):
            key, value, headers = record_of(thing, "a", number)
            await producer.send(thing.topic, key=key, value=value, headers=headers, partition=0)
    finally:
        await producer.stop()
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: reached(thing, 5))
    assert await thing.effects() == [("a", number) for number in range(5)]
    assert await letters(thing) == []


@pytest.mark.parametrize("commits", [True, False], ids=["committed", "given up"])
async def test_the_mark_that_ends_a_transaction_is_passed_over(thing: Things, commits: bool) -> None:
    producer = AIOKafkaProducer(**thing.kafka.client(), transactional_id=thing.name)
    await producer.start()
    try:
        await producer.begin_transaction()
        key, value, headers = record_of(thing, "a", 0)
        await producer.send_and_wait(thing.topic, key=key, value=value, headers=headers, partition=0)
        await (producer.commit_transaction() if commits else producer.abort_transaction())
    finally:
        await producer.stop()
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: reached(thing, 2))  # the record, and the mark behind it
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: reached(thing, 3))
    assert ("a", 1) in await thing.effects()
    assert await letters(thing) == []


async def test_a_damaged_record_is_parked_and_the_others_flow_on(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path / "schemas")
    url = await asyncio.to_thread(new_database, "orders")
    kafka = await asyncio.to_thread(local_kafka.start, tmp_path / "kafka")
    try:
        async with things(url, kafka.admin, tmp_path / "schemas") as thing:
            await send(thing, record_of(thing, "a", 0))
            await send(thing, record_of(thing, "b", 1))
            await send(thing, record_of(thing, "c", 2))
            damage(next((Path(kafka.server.program.cwd) / "data" / f"{thing.topic}-0").glob("*.log")), batch=1)
            async with running(consumer_of(thing, thing.note)):
                await eventually(lambda: reached(thing, 3))
                await send_at_once(thing, [record_of(thing, "a", 3)])
                await eventually(lambda: reached(thing, 4))
            assert await thing.effects() == [("a", 0), ("c", 2), ("a", 3)]
            [(key, offset, error)] = await letters(thing)
            assert (key, offset) == ("@0:1", 1)
            assert "Invalid CRC" in str(error)
    finally:
        await asyncio.to_thread(kafka.server.kill)


def damage(log: Path, batch: int) -> None:
    """Change the last byte of a batch, as a failing disk would."""
    with log.open("r+b") as file:
        content = file.read()
        begin = end = 0
        for _ in range(batch + 1):  # base offset (8 bytes), then the length of what follows (4), Kafka's message format
            begin, end = end, end + 12 + struct.unpack_from(">i", content, end + 8)[0]
        assert begin < end <= len(content)
        file.seek(end - 1)
        file.write(bytes([content[end - 1] ^ 0xFF]))
