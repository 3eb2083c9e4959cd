"""Nothing is dropped, nothing blocks: what cannot be handled is set aside with its key, and redriven in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.util import calc_crc32c

from backbone.consuming import redrive
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import Handler
from backbone.context import Context
from backbone.events.envelope import Envelope, to_record
from backbone.events.payload import Event
from backbone.ids import new_id
from backbone.settings import Settings
from backbone.storage.database import Tx
from tests.integration.things import Things, client_of, running
from tests.waiting import eventually

Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
Spoil = Callable[[Record], Record]


class Refused(Exception):
    """What a handler raises that no retry can help."""


class Faulty:
    """A handler that refuses some numbers until it is mended."""

    def __init__(self, thing: Things, *refused: int) -> None:
        self.thing = thing
        self.refused = set(refused)
        self.words = "not this one"

    async def __call__(self, event: Event[Any], tx: Tx) -> None:
        if event.data.number in self.refused:
            raise Refused(self.words)
        await self.thing.note(event, tx)


def record_of(thing: Things, key: str, number: int) -> Record:
    envelope = Envelope(
        id=new_id(),
        type=thing.payload.TYPE,
        source=f"/sliceline/{thing.name}",
        subject=key,
        time="2026-11-01T18:30:00.000000Z",
        dataschema="https://sliceline.invalid/schemas/things",
        partitionkey=key,
        correlationid=new_id(),
        occurrenceid=new_id(),
        sequence=number + 1,
        data=msgspec.json.encode({"number": number}),
    )
    record_key, value, headers = to_record(envelope)
    return record_key, value, list(headers)


async def send(thing: Things, *records: Record) -> None:
    """All into one partition, in this order."""
    async with thing.raw_producer() as producer:
        for key, value, headers in records:
            await producer.send_and_wait(thing.topic, key=key, value=value, headers=headers, partition=0)


def consumer_of(thing: Things, handler: Handler) -> Consumer:
    return Consumer(thing.name, thing.service(handler).handlers, thing.database, thing.kafka)


async def letters(thing: Things) -> list[tuple[str, int, str | None]]:
    """Key, offset and error of what is parked, oldest first."""
    async with thing.database.transaction() as tx:
        rows = await tx.raw.fetch('SELECT key, "offset", error FROM dead_letters ORDER BY id')
    return [(row["key"], row["offset"], row["error"]) for row in rows]


async def reached(thing: Things, offset: int) -> bool:
    async with thing.database.transaction() as tx:
        return offset <= (await tx.raw.fetchval("SELECT max(next_offset) FROM consumer_offsets") or 0)


@asynccontextmanager
async def consumed(thing: Things, handler: Handler, *records: Record) -> AsyncIterator[None]:
    """The records are sent and worked off; the consumer still runs in the block."""
    await send(thing, *records)
    async with running(consumer_of(thing, handler)):
        await eventually(lambda: reached(thing, len(records)))
        yield


def context_of(thing: Things) -> Context[Any]:
    return Context(Settings(database_url="postgresql://unused"), thing.database)


async def redriven(thing: Things, handler: Handler, key: str | None = None) -> int:
    return await redrive.redrive(thing.database, thing.name, thing.service(handler).handlers, key)


def with_header(name: str, value: bytes | None) -> Spoil:
    def spoil(record: Record) -> Record:
        return record[0], record[1], [(known, value if known == name else had) for known, had in record[2]]

    return spoil


def without_header(name: str) -> Spoil:
    return lambda record: (record[0], record[1], [each for each in record[2] if each[0] != name])


def with_value(value: bytes | None) -> Spoil:
    return lambda record: (record[0], value, record[2])


def with_key(key: bytes | None) -> Spoil:
    return lambda record: (key, record[1], record[2])


SPOILT: dict[str, Spoil] = {
    "another specversion": with_header("ce_specversion", b"0.3"),
    "no type": without_header("ce_type"),
    "no headers at all": lambda record: (record[0], record[1], []),
    "a null header": with_header("ce_id", None),
    "a null type": with_header("ce_type", None),
    "a header that is not text": with_header("ce_subject", b"\xff\xfe"),
    "NUL in a header": with_header("ce_subject", b"a\x00b"),
    "a sequence that is no number": with_header("ce_sequence", b"first"),
    "a tombstone": with_value(None),
    "broken contract": with_value(b'{"number": "many"}'),
    "not JSON": with_value(b"\xff\x00 nothing"),
    "an empty value": with_value(b""),
    "a number beyond every type": with_value(b'{"number": 1' + b"0" * 5000 + b"}"),
    "nested 1000 deep": with_value(b'{"number": ' + b"[" * 1000 + b"]" * 1000 + b"}"),
    "nested 1000 deep where nobody looks": with_value(b'{"number": 1, "more": ' + b"[" * 1000 + b"]" * 1000 + b"}"),
    "nested 100000 deep": with_value(b'{"number": ' + b"[" * 100_000),
    "no key": with_key(None),
    "another key than it says": with_key(b"other"),
    "an endless key": with_key(b"k" * 5000),
    "a key that is not text": with_key(b"\xff\x00\xfe"),
}


async def test_whatever_cannot_be_read_is_parked_and_the_others_flow_on(thing: Things) -> None:
    good = [record_of(thing, f"good-{number}", number) for number in range(len(SPOILT))]
    bad = [spoil(record_of(thing, f"bad-{at}", 1)) for at, spoil in enumerate(SPOILT.values())]
    records = [each for pair in zip(bad, good, strict=True) for each in pair]
    async with consumed(thing, thing.note, *records):
        parked = await letters(thing)
    assert [offset for _, offset, _ in parked] == [2 * at for at in range(len(SPOILT))]
    assert all(error for _, _, error in parked)
    effects = [(f"good-{number}", number) for number in range(len(SPOILT))]
    assert [each for each in await thing.effects() if each[0].startswith("good")] == effects


async def test_an_unreadable_record_is_kept_whole_and_can_be_redriven(thing: Things) -> None:
    key, value, headers = record_of(thing, "a", 1)
    odd = [*headers, ("more\x00", b"\x00\xff\\u0000 \n\\"), ("none", None)]
    async with consumed(thing, Faulty(thing, 1), (key, value, odd)):
        assert [error for _, _, error in await letters(thing)] == ["Refused: not this one"]
    assert await redriven(thing, thing.note) == 1
    assert await thing.effects() == [("a", 1)]


async def test_an_event_that_breaks_its_handler_waits_with_the_later_ones_of_its_key(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    one_batch = [record_of(thing, key, number) for number in range(4) for key in ("a", "b")]
    async with consumed(thing, faulty, *[each for at, each in enumerate(one_batch) if at != 3]):  # b's 1 is left out
        assert await thing.effects("b") == [("b", 0), ("b", 2), ("b", 3)]
        await send(thing, record_of(thing, "a", 4), record_of(thing, "b", 4))
        await eventually(lambda: reached(thing, 9))
    assert await thing.effects("a") == [("a", 0)]
    assert (await thing.effects("b"))[-1] == ("b", 4)
    assert [(key, error) for key, _, error in await letters(thing)] == [
        ("a", "Refused: not this one"),
        ("a", None),
        ("a", None),
        ("a", None),
    ]


async def test_a_redrive_handles_in_order_and_opens_the_key_again(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, *(record_of(thing, "a", number) for number in range(5))):
        faulty.refused.clear()
        assert await redriven(thing, faulty) == 4
        await send(thing, record_of(thing, "a", 5))
        await eventually(lambda: reached(thing, 6))
    assert await thing.effects("a") == [("a", number) for number in range(6)]
    assert await letters(thing) == []


async def test_a_redrive_of_one_key_leaves_the_others_parked(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, record_of(thing, "a", 1), record_of(thing, "b", 1)):
        faulty.refused.clear()
    assert await redriven(thing, faulty, "b") == 1
    assert [key for key, _, _ in await letters(thing)] == ["a"]


async def test_a_redrive_that_fails_again_keeps_the_rest_with_the_new_error(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, *(record_of(thing, "a", number) for number in range(1, 5))):
        faulty.refused, faulty.words = {3}, "nor that one"
        assert await redriven(thing, faulty) == 2
    assert await letters(thing) == [("a", 2, "Refused: nor that one"), ("a", 3, None)]
    assert await thing.effects("a") == [("a", 1), ("a", 2)]


async def test_a_redrive_leaves_a_key_whose_row_is_held_for_later(thing: Things) -> None:
    faulty = Faulty(thing, 1)

    async def note_once(event: Event[Any], tx: Tx) -> None:
        await faulty(event, tx)
        tx.publish(thing.happened(event.data.number), key=f"of {event.key}")

    await thing.publish("of a", 0)
    async with consumed(thing, note_once, *(record_of(thing, key, 1) for key in "abc")):
        faulty.refused.clear()
    async with thing.database.transaction() as holding:
        await holding.raw.execute("SELECT FROM sequences WHERE key = 'of a' FOR UPDATE")
        assert await redriven(thing, note_once) == 2
    assert [(key, error) for key, _, error in await letters(thing)] == [("a", "Refused: not this one")]
    assert await redriven(thing, note_once) == 1


async def test_nothing_slips_between_a_redrive_and_the_consumer(thing: Things) -> None:
    faulty = Faulty(thing, 0)
    async with consumed(thing, faulty, record_of(thing, "a", 0)):
        faulty.refused.clear()
        sending = asyncio.create_task(send(thing, *(record_of(thing, "a", number) for number in range(1, 80))))
        while not sending.done():
            await asyncio.gather(redriven(thing, faulty), redriven(thing, faulty))
        await eventually(lambda: reached(thing, 80))
        await redriven(thing, faulty)
    assert await thing.effects("a") == [("a", number) for number in range(80)]
    assert await letters(thing) == []


async def test_of_hundreds_exactly_the_guilty_are_parked(thing: Things) -> None:
    guilty = {3, 77, 78, 250, 399}
    await send_at_once(thing, [record_of(thing, f"key-{number}", number) for number in range(400)])
    async with running(consumer_of(thing, Faulty(thing, *guilty))):
        await eventually(lambda: reached(thing, 400))
    assert {offset for _, offset, _ in await letters(thing)} == guilty
    assert [number for _, number in await thing.effects()] == [each for each in range(400) if each not in guilty]


async def send_at_once(thing: Things, records: Sequence[Record]) -> None:
    async with thing.raw_producer() as producer:
        futures = [
            await producer.send(thing.topic, key=key, value=value, headers=headers, partition=0)
            for key, value, headers in records
        ]
        await asyncio.gather(*futures)


async def test_a_record_whose_header_name_is_not_text_is_parked_and_the_others_flow_on(thing: Things) -> None:
    tampered: Record = (b"a", b"{}", [("tampered", b"1")])
    await send(thing, record_of(thing, "a", 0))
    async with thing.raw_producer() as producer:
        # The client cannot reach what comes after it in the same batch.
        await send_raw(producer, thing.topic, [record_of(thing, "a", 1), tampered, record_of(thing, "a", 2)])
        await send(thing, record_of(thing, "a", 3))
        await producer.send_and_wait(thing.topic, b"", b"b", partition=1)
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: reached(thing, 5))
        await send(thing, record_of(thing, "a", 4))
        await eventually(lambda: reached(thing, 6))
    assert await thing.effects() == [("a", 0), ("a", 1), ("a", 3), ("a", 4)]
    parked = {key: error for key, _, error in await letters(thing)}
    assert set(parked) == {"@0:2", "@0:3", "@1:0"}
    assert all(parked.values())


@pytest.mark.parametrize("look", [1, 2, 3])
async def test_a_rebalance_while_an_unreadable_record_is_looked_for_costs_no_session(
    thing: Things, sessions: list[object], monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    looks, find = count(), Consumer._find

    async def disturbed(self: Consumer, client: Any, *partitions: TopicPartition, **options: Any) -> Any:
        try:
            return await find(self, client, *partitions, **options)
        finally:  # what the group's listener does when the partitions are given anew
            if partitions and next(looks) == look - 1:
                self.assigned((each.topic, each.partition) for each in client.assignment())

    monkeypatch.setattr(Consumer, "_find", disturbed)
    tampered: Record = (b"a", b"{}", [("tampered", b"1")])
    async with thing.raw_producer() as producer:
        await send_raw(producer, thing.topic, [record_of(thing, "a", 0), tampered])
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: reached(thing, 2))
    assert await thing.effects() == [("a", 0)]
    assert {key for key, _, _ in await letters(thing)} == {"@0:1"}
    assert len(sessions) == 1
    assert next(looks) >= look


async def send_raw(producer: AIOKafkaProducer, topic: str, records: Sequence[Record]) -> None:
    """One batch in which the header name `tampered` is not UTF-8. No client writes that, so we patch its bytes."""
    builder = producer.create_batch()
    for key, value, headers in records:
        builder.append(key=key, value=value, headers=headers, timestamp=None)
    builder.close()
    sound = bytes(builder._build())
    body = sound[21:].replace(b"tampered", b"\xff\xfempered")
    builder._buffer = bytearray(sound[:17] + calc_crc32c(body).to_bytes(4, "big") + body)
    await (await producer.send_batch(builder, topic, partition=0))


async def test_dead_letters_are_listed_and_redriven_over_http(thing: Things) -> None:
    faulty = Faulty(thing, 0)
    async with (
        consumed(thing, faulty, *(record_of(thing, "a", number) for number in range(3))),
        client_of(thing, faulty) as client,
    ):
        first = (await client.get("/dead-letters", params={"limit": 2})).json()
        rest = (await client.get("/dead-letters", params={"after": first["next"]})).json()
        shown = first["items"] + rest["items"]
        assert [(each["key"], each["offset"], each["error"]) for each in shown] == await letters(thing)
        assert not {"value", "headers"} & set(shown[0])
        assert (await client.post("/dead-letters/redrive", json={})).json() == {"handled": 0}
        faulty.refused.clear()
        assert (await client.post("/dead-letters/redrive", json={"key": "b"})).json() == {"handled": 0}
        assert (await client.post("/dead-letters/redrive", json={"key": "a"})).json() == {"handled": 3}
        assert (await client.get("/dead-letters")).json()["items"] == []


async def test_when_parking_itself_fails_nothing_is_gone_past(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter(range(2))
    park = BatchProcessor.park

    async def at_first_failing(*given: Any) -> None:
        if next(failures, None) is not None:
            raise Refused("no room for dead letters")
        await park(*given)

    monkeypatch.setattr(BatchProcessor, "park", at_first_failing)
    async with consumed(thing, Faulty(thing, 0), record_of(thing, "a", 0), record_of(thing, "b", 1)):
        assert [key for key, _, _ in await letters(thing)] == ["a"]
    assert await thing.effects() == [("b", 1)]
