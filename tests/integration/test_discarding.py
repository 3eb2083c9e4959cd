"""A dead letter that nothing can mend is given up by a person: it is kept, and its key goes on in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backbone.consuming import discarding
from backbone.consuming.reread import reread
from backbone.ids import new_id
from tests.integration.test_parking import Faulty, Record, consumed, consumer_of, letters, record_of, redriven, send
from tests.integration.things import Things, client_of, running
from tests.issuing import by
from tests.waiting import eventually

REASON = {"reason": "It was never one of ours."}


def foreign(key: str, content_type: bytes) -> Record:
    return key.encode(), b'{"specversion": "1.0", "type": "com.example.other"}', [("content-type", content_type)]


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (b"application/cloudevents+protobuf", "structured mode is read as JSON only"),
        (b"application/cloudevents-batch+json", "batched mode is not read"),
        (b"application/json", "it has no ce_type"),
    ],
)
async def test_a_foreign_record_is_set_aside_and_silences_no_key(thing: Things, content_type: bytes, said: str) -> None:
    records = record_of(thing, "garlic", 0), foreign("garlic", content_type), record_of(thing, "garlic", 1)
    async with consumed(thing, thing.note, *records), client_of(thing, thing.note) as client:
        assert await thing.effects() == [("garlic", 0), ("garlic", 1)]
        ((key, offset, error),) = await letters(thing)
        assert (key, offset) == ("@0:1", 1)
        assert said in (error or "")
        (shown,) = (await client.get("/dead-letters")).json()["items"]
        answer = await client.post(f"/dead-letters/{shown['id']}/discard", json=REASON, headers=by("ann"))
        assert answer.status_code == 200, answer.text
        assert await letters(thing) == []
        (kept,) = (await client.get("/dead-letters/discarded")).json()["items"]
        assert {**shown, **kept} == kept
        assert (kept["discarded_by"], kept["reason"]) == ("ann", REASON["reason"])
        assert await thing.database.fetch("SELECT key FROM parked_keys") == []


async def test_a_key_goes_on_in_order_when_its_first_letter_is_discarded(thing: Things) -> None:
    faulty = Faulty(thing, 1, 3)
    async with (
        consumed(thing, faulty, *(record_of(thing, "a", number) for number in range(5))),
        client_of(thing, faulty) as client,
    ):
        await discard_first(client)
        assert await thing.effects() == [("a", 0), ("a", 2)]
        assert await letters(thing) == [("a", 3, "Refused: not this one"), ("a", 4, None)]
        await discard_first(client)
        await send(thing, record_of(thing, "a", 5))
        await eventually(lambda: handled(thing, 4))
    assert await thing.effects() == [("a", 0), ("a", 2), ("a", 4), ("a", 5)]
    assert await letters(thing) == []


async def test_a_letter_in_the_middle_is_discarded_and_the_rest_waits_as_before(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with (
        consumed(thing, faulty, *(record_of(thing, "a", number) for number in range(1, 4))),
        client_of(thing, faulty) as client,
    ):
        _, middle, _ = (await client.get("/dead-letters")).json()["items"]
        await client.post(f"/dead-letters/{middle['id']}/discard", json=REASON)
        assert await letters(thing) == [("a", 0, "Refused: not this one"), ("a", 2, None)]
        faulty.refused.clear()
        assert (await client.post("/dead-letters/redrive", json={})).json() == {"handled": 2}
    assert await thing.effects() == [("a", 1), ("a", 3)]


async def test_a_letter_is_discarded_once_and_only_with_a_reason(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, record_of(thing, "a", 1)), client_of(thing, faulty) as client:
        (shown,) = (await client.get("/dead-letters")).json()["items"]
        path = f"/dead-letters/{shown['id']}/discard"
        for body in ({}, {"reason": ""}, {"reason": "a\x00b"}, {"reason": "x" * 501}, {"reason": None}):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reason")
        key = {"Idempotency-Key": new_id()}
        first, again = [await client.post(path, json=REASON, headers=key) for _ in range(2)]
        assert (first.status_code, again.status_code, first.content) == (200, 200, again.content)
        assert (await client.post(path, json=REASON)).status_code == 404
        assert len((await client.get("/dead-letters/discarded")).json()["items"]) == 1


async def test_of_two_who_discard_at_once_one_finds_nothing_left(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, record_of(thing, "a", 1)), client_of(thing, faulty) as client:
        (shown,) = (await client.get("/dead-letters")).json()["items"]
        path = f"/dead-letters/{shown['id']}/discard"
        both = await asyncio.gather(*(client.post(path, json=REASON) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [200, 404]


Again = Callable[[Things], Awaitable[object]]


async def asked_for(thing: Things) -> None:
    assert await reread(thing.database, thing.name, thing.topic) == [thing.topic]


async def cut_back(thing: Things) -> None:
    await thing.database.fetch("UPDATE consumer_offsets SET next_offset = 100, checked_offset = 100")


@pytest.mark.parametrize("again", [asked_for, cut_back])
async def test_what_was_discarded_stays_so_when_its_log_is_read_again(thing: Things, again: Again) -> None:
    faulty = Faulty(thing, 1)
    records = record_of(thing, "a", 1), foreign("a", b"application/json"), record_of(thing, "a", 2)
    async with consumed(thing, faulty, *records), client_of(thing, faulty) as client:
        for _ in range(2):
            await discard_first(client)
    assert await thing.effects() == [("a", 2)]
    faulty.refused.clear()
    await again(thing)
    await send(thing, record_of(thing, "a", 3))
    async with running(consumer_of(thing, faulty)):
        await eventually(lambda: handled(thing, 2))
    assert await thing.effects() == [("a", 2), ("a", 3)]
    assert await letters(thing) == []


async def test_another_record_at_a_discarded_one_s_place_is_parked(thing: Things) -> None:
    async with consumed(thing, thing.note, foreign("a", b"application/json")), client_of(thing, thing.note) as client:
        await discard_first(client)
    await thing.database.fetch("UPDATE discarded_letters SET value = 'it was this, before the log was cut back'")
    await asked_for(thing)
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: has_letters(thing, 1))


async def test_a_discarded_one_s_place_in_another_log_is_not_taken_for_it(thing: Things) -> None:
    async with consumed(thing, thing.note, foreign("a", b"application/json")), client_of(thing, thing.note) as client:
        await discard_first(client)
    await thing.database.fetch("UPDATE discarded_letters SET log = gen_random_uuid()")  # of a topic made anew since
    await asked_for(thing)
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: has_letters(thing, 1))


async def test_an_event_discarded_as_broken_has_no_effect_when_it_comes_again_in_good_shape(thing: Things) -> None:
    key, value, headers = record_of(thing, "a", 1)
    async with (
        consumed(thing, thing.note, (key, b'{"number": "one"}', headers)),
        client_of(thing, thing.note) as client,
    ):
        await discard_first(client)
        await send(thing, (key, value, headers), record_of(thing, "a", 2))
        await eventually(lambda: handled(thing, 1))
    assert await thing.effects() == [("a", 2)]


async def test_a_key_is_open_as_soon_as_its_last_letter_is_gone_though_the_process_dies_then(thing: Things) -> None:
    faulty = Faulty(thing, 1)
    async with consumed(thing, faulty, record_of(thing, "a", 1), record_of(thing, "b", 1)):
        pass
    first, _ = await thing.database.fetch("SELECT id FROM dead_letters ORDER BY id")
    async with thing.database.transaction() as tx:
        which = discarding.Which(letter=first["id"])
        assert await discarding.discard(tx, thing.name, which, actor="ann", reason="garbage")
    assert [row["key"] for row in await thing.database.fetch("SELECT key FROM parked_keys")] == ["b"]
    faulty.refused.clear()
    assert await redriven(thing, faulty, "b") == 1
    assert await thing.database.fetch("SELECT key FROM parked_keys") == []


async def has_letters(thing: Things, count: int) -> bool:
    return len(await letters(thing)) >= count


async def discard_first(client: Any) -> None:
    first = (await client.get("/dead-letters")).json()["items"][0]
    assert (await client.post(f"/dead-letters/{first['id']}/discard", json=REASON)).status_code == 200


async def handled(thing: Things, count: int) -> bool:
    return len(await thing.effects()) >= count
