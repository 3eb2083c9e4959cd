"""A place belongs to a log: topics deleted, made anew, cut or grown are noticed, told of, and read on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.client import AIOKafkaClient

from backbone.consuming import broker
from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import Handler
from backbone.consuming.lag import LagWatch
from backbone.consuming.places import Break, Places
from backbone.consuming.reread import KeysAreParked, reread
from backbone.observing import metrics
from backbone.publishing.relay import Relay
from backbone.storage import backlog
from tests.integration.test_parking import Faulty, letters, record_of, send
from tests.integration.things import Things, client_of, running
from tests.waiting import eventually


def consumer_of(thing: Things, handler: Handler | None = None) -> Consumer:
    return Consumer(thing.name, thing.service(handler or thing.note).handlers, thing.database, thing.kafka)


def relay_of(thing: Things) -> Relay:
    return Relay(thing.database, thing.kafka, poll=0.05)


@asynccontextmanager
async def admin_of(thing: Things) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**thing.kafka.client())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def delete_topic(thing: Things) -> None:
    async with admin_of(thing) as admin:
        await admin.delete_topics([thing.topic])


async def make_topic(thing: Things) -> None:
    """Once the deletion has come to pass; a name is free only then."""

    async def made() -> bool:
        answer: Any = await admin.create_topics([NewTopic(thing.topic, 3, 1)])
        return bool(answer.topic_errors[0][1] == 0)

    async with admin_of(thing) as admin:
        await eventually(made)


async def has(thing: Things, *effects: tuple[str, int]) -> bool:
    return set(effects) <= set(await thing.effects())


async def stored_sum(thing: Things) -> int:
    async with thing.database.transaction() as tx:
        return int(await tx.raw.fetchval("SELECT sum(next_offset) FROM consumer_offsets"))


async def breaks(thing: Things) -> Counter[str]:
    return Counter({each.what: each.partitions for each in (await backlog.look(thing.database)).log_breaks})


async def handled(thing: Things, *numbers: int) -> None:
    """Publish these under one key and handle them; then both parts are stopped."""
    await thing.publish("a", *numbers)
    async with running(relay_of(thing), consumer_of(thing)):
        await eventually(lambda: has(thing, *(("a", number) for number in numbers)))


async def test_a_topic_made_anew_under_way_is_noticed_and_all_goes_on(thing: Things) -> None:
    consumer = consumer_of(thing)
    await thing.publish("a", 0, 1, 2)
    async with running(relay_of(thing), consumer):
        await eventually(lambda: has(thing, ("a", 2)))
        await delete_topic(thing)
        await make_topic(thing)
        await thing.publish("a", 3)
        await eventually(lambda: has(thing, ("a", 3)))

        async def said() -> bool:
            return (await breaks(thing))["another-log"] >= 1

        await eventually(said)
        await thing.publish("b", *range(5))
        await eventually(lambda: has(thing, ("b", 4)))
        assert consumer.pulse.problem is None
    assert max(Counter(await thing.effects()).values()) == 1


async def test_a_topic_made_anew_meanwhile_is_read_from_its_beginning_though_it_is_longer(thing: Things) -> None:
    await handled(thing, 0, 1)
    await delete_topic(thing)
    await make_topic(thing)
    await handled(thing, *range(10, 20))
    assert await thing.effects("a") == [("a", number) for number in (0, 1, *range(10, 20))]
    assert (await breaks(thing))["another-log"] == 3


@pytest.mark.long
async def test_a_topic_that_is_not_there_is_told_by_readiness_of_reader_and_writer(thing: Things) -> None:
    consumer, relay = consumer_of(thing), relay_of(thing)

    async def both_miss_it() -> bool:
        return all(thing.topic in (part.problem or "") for part in (consumer.pulse, relay.pulse))

    async def both_well() -> bool:
        return consumer.pulse.problem is None and relay.pulse.problem is None

    async with running(relay, consumer):
        await eventually(both_well)
        await delete_topic(thing)
        await eventually(both_miss_it)
        await make_topic(thing)
        await eventually(both_well)


async def test_what_retention_took_from_an_absent_reader_is_counted_and_the_rest_is_read(thing: Things) -> None:
    await handled(thing, 0)
    await thing.publish("a", 1, 2, 3, 4)
    async with running(relay_of(thing)):
        await thing.published(5)
    unread = metrics.UNREAD.labels(thing.topic)
    async with admin_of(thing) as admin, thing.reading() as reader:
        ends = await reader.end_offsets([TopicPartition(thing.topic, number) for number in range(3)])
        full = max(ends, key=lambda each: ends[each])
        await admin.delete_records({full: RecordsToDelete(3)})
    async with running(consumer_of(thing)):
        await eventually(lambda: has(thing, ("a", 4)))
    assert await thing.effects("a") == [("a", 0), ("a", 3), ("a", 4)]
    assert (await breaks(thing)) == {"gone": 1}
    assert unread._value.get() == 2


async def test_a_place_beyond_the_end_is_told_of_and_nothing_is_handled_twice(thing: Things) -> None:
    await handled(thing, 0, 1)
    async with thing.database.transaction() as tx:
        await tx.raw.execute("UPDATE consumer_offsets SET next_offset = 100, checked_offset = 100")
    await handled(thing, 2)
    assert await thing.effects("a") == [("a", 0), ("a", 1), ("a", 2)]
    assert (await breaks(thing)) == {"cut-back": 3}


async def test_a_log_cut_back_that_has_grown_again_is_known_by_its_epoch(thing: Things) -> None:
    await handled(thing, 0, 1, 2)
    async with thing.database.transaction() as tx:  # as if an epoch that the log has never had had written it
        await tx.raw.execute("UPDATE consumer_offsets SET leader_epoch = 7000, checked_offset = next_offset")
    await handled(thing, 3)
    assert await thing.effects("a") == [("a", number) for number in range(4)]
    assert (await breaks(thing))["cut-back"] == 1  # of the two empty partitions nothing was cut


async def test_the_broker_tells_where_an_epoch_ended(thing: Things) -> None:
    await handled(thing, 0, 1)
    client = AIOKafkaClient(**thing.kafka.client())
    await client.bootstrap()
    try:
        topics = await broker.topics_of(client, [thing.topic, "there-is-none"])
        logs = await broker.logs_of(client, topics)
        now = await broker.epoch_ends(client, topics, {place: log.epoch for place, log in logs.items()})
        never = await broker.epoch_ends(client, topics, dict.fromkeys(logs, 7000))
    finally:
        await client.close()
    assert set(topics) == {thing.topic}
    assert now == {place: log.end for place, log in logs.items()}
    assert sum(now.values()) == 2
    assert set(never.values()) == {-1}


async def test_a_dead_letter_at_a_used_place_of_another_log_is_kept(thing: Things) -> None:
    faulty = Faulty(thing, 0, 1)
    await send(thing, record_of(thing, "a", 0))
    async with running(consumer_of(thing, faulty)):
        await eventually(lambda: has_letters(thing, 1))
    await delete_topic(thing)
    await make_topic(thing)
    await send(thing, record_of(thing, "b", 1))
    async with running(consumer_of(thing, faulty)):
        await eventually(lambda: has_letters(thing, 2))
    assert [(key, offset) for key, offset, _ in await letters(thing)] == [("a", 0), ("b", 0)]


async def has_letters(thing: Things, count: int) -> bool:
    return len(await letters(thing)) >= count


async def test_partitions_added_under_way_are_told_of(thing: Things) -> None:
    consumer = consumer_of(thing)

    async def said() -> bool:
        return (await breaks(thing)) == {"more-partitions": 1}

    async def is_looked_at() -> bool:
        return bool(thing.topic in str(metrics.LAG.collect()))

    await thing.publish("a", 0)
    async with running(relay_of(thing), consumer):
        await eventually(lambda: has(thing, ("a", 0)))
        await eventually(is_looked_at)
        async with admin_of(thing) as admin:
            await admin.create_partitions({thing.topic: NewPartitions(total_count=6)})
        await eventually(said)
        await thing.publish("b", *range(3))
        await eventually(lambda: has(thing, ("b", 2)))


async def test_lag_is_of_all_partitions_also_of_those_that_nobody_holds(thing: Things) -> None:
    await handled(thing, 0, 1)
    for key in "abcdefgh":
        await thing.publish(key, 2)
    async with running(relay_of(thing)):
        await thing.published(10)
    client = AIOKafkaClient(**thing.kafka.client())
    await client.bootstrap()
    try:
        await LagWatch(Places(thing.database, thing.name), [thing.topic], 60).look(client, {})
    finally:
        await client.close()
    assert metrics.LAG.labels(thing.topic)._value.get() == 8


async def test_a_topic_that_was_deleted_has_no_lag(thing: Things) -> None:
    async def is_counted() -> bool:
        return thing.topic in str(metrics.LAG.collect())

    async def is_not_counted() -> bool:
        return not await is_counted()

    async with running(consumer_of(thing)):
        await eventually(is_counted)
        await delete_topic(thing)
        await eventually(is_not_counted)


async def test_a_break_is_shown_until_it_is_acknowledged(thing: Things) -> None:
    await Places(thing.database, thing.name).say(Break((thing.topic, 1), "gone", "7 records are gone unread"))
    async with client_of(thing, thing.note) as client:
        [said] = (await client.get("/backlog")).json()["needs"]
        assert thing.topic in said
        assert "7 records are gone unread" in said
        assert (await client.post("/log-breaks/acknowledge")).json() == {"acknowledged": 1}
        assert (await client.get("/backlog")).json()["needs"] == []


async def test_reading_again_is_asked_for_over_http_and_refused_where_it_cannot_be(thing: Things) -> None:
    await handled(thing, 0)
    async with client_of(thing, thing.note) as client:
        assert (await client.post("/reread", json={})).json() == {"topics": [thing.topic]}
        assert (await client.post("/reread", json={"topic": "another.events"})).status_code == 409
        await send(thing, record_of(thing, "a", 0))
        async with running(consumer_of(thing, Faulty(thing, 0))):
            await eventually(lambda: has_letters(thing, 1))
        refused = await client.post("/reread", json={"topic": thing.topic})
    assert (refused.status_code, refused.json()["title"]) == (409, "Keys are parked")


async def test_a_topic_read_again_beside_its_running_reader_has_only_new_effects(thing: Things) -> None:
    async def forgotten() -> None:
        async with thing.database.transaction() as tx:  # as if a TYPE had been wrong: these went by unheard
            await tx.raw.execute("DELETE FROM inbox WHERE occurrence IN (SELECT occurrence FROM inbox LIMIT 2)")

    async def is_at_the_end() -> bool:
        return await stored_sum(thing) == 4

    await thing.publish("a", 0, 1, 2, 3)
    async with running(relay_of(thing), consumer_of(thing)):
        await eventually(lambda: has(thing, ("a", 3)))
        await forgotten()
        assert await reread(thing.database, thing.name, thing.topic) == [thing.topic]
        await eventually(is_at_the_end)
    assert sorted(Counter(await thing.effects()).values()) == [1, 1, 2, 2]
    assert not await breaks(thing)


async def test_a_topic_whose_keys_are_parked_is_not_read_again(thing: Things) -> None:
    await send(thing, record_of(thing, "a", 0))
    async with running(consumer_of(thing, Faulty(thing, 0))):
        await eventually(lambda: has_letters(thing, 1))
    before = await stored_sum(thing)
    with pytest.raises(KeysAreParked):
        await reread(thing.database, thing.name, None)
    assert await stored_sum(thing) == before
    assert await reread(thing.database, thing.name, "another.events") == []


async def test_a_reader_that_was_moved_to_the_beginning_while_away_reads_from_there(thing: Things) -> None:
    await handled(thing, 0, 1)
    await reread(thing.database, thing.name, None)
    async with thing.database.transaction() as tx:
        await tx.raw.execute("DELETE FROM inbox")
    async with running(consumer_of(thing)):
        await eventually(lambda: all_twice(thing))
    assert not await breaks(thing)


async def all_twice(thing: Things) -> bool:
    return set(Counter(await thing.effects()).values()) == {2}


async def test_a_place_that_somebody_holds_is_waited_for_without_leaving_the_group(
    thing: Things, sessions: list[object]
) -> None:
    await handled(thing, 1)
    sessions.clear()
    consumer = consumer_of(thing)

    async def is_locked_out() -> bool:
        return "lock" in str(consumer.pulse.problem)

    await thing.publish("a", 2)
    async with running(relay_of(thing)):
        async with thing.database.transaction() as holding:
            await holding.raw.execute("SELECT FROM consumer_offsets FOR UPDATE")
            task = asyncio.create_task(consumer.run())
            await eventually(is_locked_out)
        await eventually(lambda: has(thing, ("a", 2)))
        consumer.stop()
        await task
    assert len(sessions) == 1


async def test_a_place_that_another_replica_has_just_moved_is_taken_a_moment_later(
    thing: Things, sessions: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    await handled(thing, 1)
    sessions.clear()
    look, moved, problems = Places.look, False, set[str | None]()
    consumer = consumer_of(thing)

    async def while_another_commits(self: Places, *given: Any) -> Any:
        nonlocal moved
        now = await look(self, *given)
        if not moved:
            moved = True
            await thing.database.fetch(
                "UPDATE consumer_offsets SET next_offset = next_offset - 1 WHERE next_offset > 0"
            )
        problems.add(consumer.pulse.problem)
        return now

    monkeypatch.setattr(Places, "look", while_another_commits)
    await thing.publish("a", 2)
    async with running(relay_of(thing), consumer):
        await eventually(lambda: has(thing, ("a", 2)))
    assert problems <= {"starting", None}
    assert len(sessions) == 1
    assert await thing.effects() == [("a", 1), ("a", 2)]


async def test_a_look_that_meets_a_database_away_is_left_for_the_next(
    thing: Things, sessions: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LagWatch, "EVERY", timedelta(0))
    failures: list[object] = []

    async def away(*given: Any) -> Any:
        failures.append(given)
        raise ConnectionRefusedError("no database")

    async with running(relay_of(thing), consumer_of(thing)):
        await thing.publish("a", 1)
        await eventually(lambda: has(thing, ("a", 1)))
        with monkeypatch.context() as outage:
            outage.setattr(Places, "checked", away)
            await thing.publish("a", 2)
            await eventually(lambda: has(thing, ("a", 2)))
            await eventually(lambda: several(failures))
        await thing.publish("a", 3)
        await eventually(lambda: has(thing, ("a", 3)))
    assert len(sessions) == 1


async def several(happened: list[object]) -> bool:
    return len(happened) > 2
