"""Events that Kafka will not take: they go aside with their keys, all else goes on, and an operator decides."""

from collections.abc import Sequence
from typing import Any

import pytest

from backbone.observing import metrics
from backbone.publishing import refused
from backbone.storage import backlog
from tests.integration.relaying import outbox_is_empty, relay_of, sequences_by_key
from tests.integration.things import Things, client_of, running
from tests.waiting import eventually

MEBIBYTE = 1024 * 1024


async def _spoil(thing: Things, key: str, number: int, change: str, *arguments: Any) -> None:
    """Publish an event, and change its row in the outbox as no code of ours would."""
    async with thing.database.transaction() as tx:
        tx.publish(thing.happened(number), key=key)
        await tx.flush()
        tx._outgoing.clear()
        last = "position = (SELECT max(position) FROM outbox)"
        await tx.raw.execute(f"UPDATE outbox SET {change} WHERE {last}", *arguments)


SPOILT: dict[str, tuple[str, list[Any]]] = {
    "a header of a megabyte": ("traceparent = $1", ["f" * 2 * MEBIBYTE]),
    "a subject without end": ("subject = $1", ["s" * 2 * MEBIBYTE]),
}


@pytest.mark.parametrize("change", SPOILT)
async def test_an_event_that_kafka_refuses_stops_no_other(thing: Things, change: str) -> None:
    await thing.publish("bad", 1)
    await thing.publish("good", 1)
    await _spoil(thing, "bad", 2, SPOILT[change][0], *SPOILT[change][1])
    await thing.publish("good", 2)
    before = metrics.REFUSED._value.get()
    async with running(relay_of(thing)):
        await eventually(lambda: outbox_is_empty(thing))
        await thing.publish("good", 3)
        await thing.publish("bad", 3, 4)
        await eventually(lambda: outbox_is_empty(thing))
        events = await thing.published(4)
    assert sequences_by_key(events) == {"bad": [1], "good": [1, 2, 3]}
    assert metrics.REFUSED._value.get() == before + 1
    now = await backlog.look(thing.database)
    assert now.outbox.refused == 3  # itself, and two behind it
    assert any("3 events refused by Kafka or behind one that is" in need for need in backlog.needs(now))


async def test_an_event_that_cannot_even_be_written_stops_no_other(thing: Things) -> None:
    await _spoil(thing, "bad", 1, "time = 'infinity'")
    await thing.publish("good", 1, 2)
    async with running(relay_of(thing)):
        assert sequences_by_key(await thing.published(2)) == {"good": [1, 2]}
        await eventually(lambda: _refused(thing, 1))


async def test_what_waits_behind_a_discarded_event_goes_on_in_order(thing: Things) -> None:
    await _spoil(thing, "bad", 1, *_spoilt("a header of a megabyte"))
    await thing.publish("bad", 2, 3)
    async with running(relay_of(thing)):
        await eventually(lambda: _refused(thing, 3))
        await thing.publish("bad", 4)
        await eventually(lambda: _refused(thing, 4))
        async with client_of(thing, thing.note) as client:
            [first, *others] = (await client.get("/refused-events")).json()["items"]
            assert (await client.get("/refused-events", params={"key": "a key of nobody"})).json()["items"] == []
            assert (await client.get("/refused-events", params={"key": first["key"]})).json()["items"][0] == first
            assert "MessageSizeTooLarge" in first["error"]
            assert [each["error"] for each in others] == [None] * 3
            behind = await client.post(f"/refused-events/{others[0]['id']}/discard", json={"reason": "In the way."})
            assert behind.status_code == 404  # it is sound, and only waits
            gone = await client.post(f"/refused-events/{first['id']}/discard", json={"reason": "Nobody needs it."})
            assert gone.json() == {"released": 3}
        events = await thing.published(3)
    assert [(event.partitionkey, event.sequence) for event in events] == [("bad", 2), ("bad", 3), ("bad", 4)]
    assert await _refused(thing, 0)


async def test_a_discard_sent_again_under_its_key_is_answered_as_before(
    thing: Things, capsys: pytest.CaptureFixture[str]
) -> None:
    await thing.publish("bad", 1, 2)
    async with thing.database.transaction() as tx:
        first = await tx.raw.fetchval("SELECT id FROM outbox ORDER BY position LIMIT 1")
    await refused.set_aside(thing.database, first, "too large")
    path, body = f"/refused-events/{first}/discard", {"reason": "Nobody needs it."}
    async with client_of(thing, thing.note) as client:
        answers = [await client.post(path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"released": 0})] * 2
        assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, True]
        other = await client.post(path, json={"reason": "In the way."}, headers={"Idempotency-Key": "k"})
        assert other.status_code == 422
    assert capsys.readouterr().out.count("a refused event was discarded") == 1


async def test_a_refused_event_is_published_once_it_fits(thing: Things) -> None:
    await _spoil(thing, "bad", 1, *_spoilt("a header of a megabyte"))
    await thing.publish("bad", 2)
    async with running(relay_of(thing)):
        await eventually(lambda: _refused(thing, 2))
        async with client_of(thing, thing.note) as client:
            assert (await client.post("/refused-events/retry", json={"key": "other"})).json() == {"retried": 0}
            assert (await client.post("/refused-events/retry", json={})).json() == {"retried": 2}
            await eventually(lambda: _refused(thing, 2))  # nothing has changed, so it is refused again
            async with thing.database.transaction() as tx:
                await tx.raw.execute("UPDATE refused_events SET traceparent = NULL")
            await thing.publish("bad", 3)
            await eventually(lambda: _refused(thing, 3))
            assert (await client.post("/refused-events/retry", json={"key": "bad"})).json() == {"retried": 3}
        events = await thing.published(3)
    assert [event.sequence for event in events] == [1, 2, 3]


async def test_only_one_key_is_held_up_by_many_refusals(thing: Things) -> None:
    for number in range(1, 4):
        await _spoil(thing, f"bad-{number}", 1, *_spoilt("a subject without end"))
        await thing.publish(f"good-{number}", 1)
    async with running(relay_of(thing)):
        assert {event.partitionkey for event in await thing.published(3)} == {"good-1", "good-2", "good-3"}
        await eventually(lambda: _refused(thing, 3))
    assert await outbox_is_empty(thing)


async def test_nothing_is_brought_back_while_a_relay_works(thing: Things) -> None:
    await _spoil(thing, "bad", 1, *_spoilt("a subject without end"))
    async with running(relay_of(thing)):
        await eventually(lambda: _refused(thing, 1))
    async with thing.database.transaction() as tx:
        await refused.LOCK.execute(tx.raw)
        async with client_of(thing, thing.note) as client:
            answer = await client.post("/refused-events/retry", json={})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert await _refused(thing, 1)


def _spoilt(name: str) -> Sequence[Any]:
    change, arguments = SPOILT[name]
    return change, *arguments


async def _refused(thing: Things, count: int) -> bool:
    async with thing.database.transaction() as tx:
        return bool(await tx.raw.fetchval("SELECT count(*) = $1 FROM refused_events", count))


async def test_a_relay_that_has_not_heard_of_a_closed_key_publishes_nothing_behind_it(thing: Things) -> None:
    relay = relay_of(thing)
    async with running(relay):
        await thing.publish("good", 1)
        await thing.published(1)
        await _spoil(thing, "bad", 1, *_spoilt("a subject without end"))
        await eventually(lambda: _refused(thing, 1))
    other = relay_of(thing)  # as one that stood by: it remembers that nothing was refused
    assert not other._some_refused
    await thing.publish("bad", 2)
    await thing.publish("good", 2)
    async with running(other):
        assert sequences_by_key(await thing.published(2)) == {"good": [1, 2]}
        await eventually(lambda: _refused(thing, 2))
    assert await outbox_is_empty(thing)
