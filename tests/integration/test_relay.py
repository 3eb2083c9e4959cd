"""The outbox and the relay: nothing lost, nothing swapped, whoever writes and whatever is killed."""

import asyncio
import random
from typing import Any, cast

import orjson
import pytest
from msgspec import defstruct

from backbone.events import contracts
from backbone.events.contracts import ContractBroken
from backbone.events.deprecation import Deprecation
from backbone.events.payload import Cause, Payload
from backbone.storage.outbox import ForeignEvent, NewestFirst, UnfitAttribute
from tests.integration.relaying import (
    HOT_KEYS,
    WRITERS,
    WRITES,
    assert_complete_and_in_order,
    outbox_is_empty,
    relay_of,
    write_with_pauses,
)
from tests.integration.things import Things, running, running_until_killed
from tests.waiting import eventually


async def test_many_writers_on_hot_keys_lose_and_swap_nothing(thing: Things) -> None:
    async with running(relay_of(thing)):
        await asyncio.gather(*(write_with_pauses(thing, writer) for writer in range(WRITERS)))
        events = await thing.published(WRITERS * WRITES * 2)
    assert_complete_and_in_order(events)
    assert {event.partitionkey for event in events} == {f"key-{key}" for key in range(HOT_KEYS)}


@pytest.mark.long
async def test_relays_that_are_killed_and_replaced_lose_and_swap_nothing(thing: Things) -> None:
    writing = asyncio.gather(*(write_with_pauses(thing, writer) for writer in range(WRITERS)))
    for _ in range(6):
        async with running_until_killed(relay_of(thing)), running_until_killed(relay_of(thing)):
            await asyncio.sleep(0.2 + random.random() * 0.6)
    await writing
    async with running(relay_of(thing)):
        assert_complete_and_in_order(await thing.published(WRITERS * WRITES * 2))


async def test_a_rolled_back_transaction_publishes_nothing_and_leaves_no_gap(thing: Things) -> None:
    async def fail_at_the_last_moment() -> None:
        async with thing.database.transaction() as tx:
            tx.publish(thing.happened(1), key="a")
            await tx.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_last_moment()
    await thing.publish("a", 2, 3)
    async with running(relay_of(thing)):
        events = await thing.published(2)
    assert [event.sequence for event in events] == [1, 2]
    assert [event.data for event in events] == [b'{"number":2}', b'{"number":3}']


async def test_an_event_carries_what_led_to_it(thing: Things) -> None:
    cause = Cause("the-correlation", "the-cause", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    async with thing.database.transaction(cause) as tx:
        tx.publish(thing.happened(1), thing.happened(2), key="a", subject="s")
    async with running(relay_of(thing)):
        first, second = await thing.published(2)
    assert (first.correlationid, first.causationid, first.subject) == ("the-correlation", "the-cause", "s")
    assert first.traceparent is not None
    assert first.traceparent.split("-")[1] == "a" * 32
    assert first.occurrenceid == second.occurrenceid
    assert first.id != second.id


async def test_an_event_of_a_type_on_its_way_out_says_so_in_the_words_of_its_contract(thing: Things) -> None:
    file = contracts.SCHEMAS / thing.name / "thing-happened.v1.json"
    said = {"from": "2026-11-27", "sunset": "2027-05-31", "use": _in_version(thing, 2).TYPE, "how": "It has a number."}
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "deprecated": True, "x-deprecation": said}))
    await thing.publish("a", 1)
    async with running(relay_of(thing)):
        [event] = await thing.published(1)
    successor = f"https://sliceline.invalid/schemas/{thing.name}/thing-happened.v2.json"
    assert event.deprecation == Deprecation("2026-11-27T00:00:00.000000Z", "2027-05-31T00:00:00.000000Z", successor)


async def test_what_breaks_its_contract_is_refused_before_it_is_stored(thing: Things) -> None:
    async with thing.database.transaction() as tx:
        with pytest.raises(ContractBroken):
            tx.publish(thing.payload(number="many"), key="a")
        with pytest.raises(UnfitAttribute, match="The key of an event holds a control character"):
            tx.publish(thing.happened(1), key="a\x00")
    assert await outbox_is_empty(thing)


@pytest.mark.parametrize("value", ["f" * 513, "two\nlines", "\ufffe"], ids=ascii)
@pytest.mark.parametrize("name", ["key", "subject", "correlationid", "causationid", "traceparent"])
async def test_an_attribute_that_cannot_travel_is_refused_before_it_is_stored(
    thing: Things, name: str, value: str
) -> None:
    told = {"key": "a", "subject": "a", "correlationid": "c", "causationid": None, "traceparent": None, name: value}
    cause = Cause(str(told["correlationid"]), told["causationid"], told["traceparent"])
    async with thing.database.transaction(cause) as tx:
        with pytest.raises(UnfitAttribute, match=f"The {name} of an event "):
            tx.publish(thing.happened(1), key=str(told["key"]), subject=told["subject"])
    assert await outbox_is_empty(thing)


@pytest.mark.parametrize("versions", [(2, 1), (10, 2), (1, 10, 2)])
async def test_versions_are_published_oldest_first(thing: Things, versions: tuple[int, ...]) -> None:
    async with thing.database.transaction() as tx:
        with pytest.raises(NewestFirst):
            tx.publish(*(_in_version(thing, version) for version in versions), key="a")
    assert await outbox_is_empty(thing)


def _in_version(thing: Things, version: int) -> Payload:
    payload = thing.happened(1)
    name = {"TYPE": f"{payload.TYPE.removesuffix('1')}{version}"}
    happened: Any = defstruct("Happened", [], bases=(type(payload),), namespace=name, frozen=True)
    return cast(Payload, happened(number=1))


async def test_a_service_cannot_publish_in_the_name_of_another(thing: Things) -> None:
    thing.database.service = "somebody-else"
    with pytest.raises(ForeignEvent):
        await thing.publish("a", 1)


async def test_a_second_relay_stands_by_and_takes_over(thing: Things) -> None:
    async with thing.database.transaction() as tx:
        await tx.raw.fetchval("SELECT pg_advisory_xact_lock(hashtext('sliceline.relay'))")
        async with running(relay_of(thing)):
            await thing.publish("a", 1)
            assert not await outbox_is_empty(thing)
    async with running(relay_of(thing)):
        await eventually(lambda: outbox_is_empty(thing))
    assert len(await thing.published(1)) == 1
