"""Webhooks: every event once, signed, in order where asked, whatever receivers do, and nobody slowed by others."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from backbone.ids import new_id
from deployment.catalogue import sample_of
from services.webhooks.endpoint import Recovery
from services.webhooks.jobs import RECOVER
from tests.conftest import NewDatabase
from tests.integration.webhooks_world import BAKED, PLACED, Receiver, World, world
from tests.issuing import by
from tests.waiting import eventually

REQUESTED = "sliceline.router.delivery-requested.v1"
HOUR = timedelta(hours=1)


@pytest.fixture
async def shop(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with world(new_database, monkeypatch) as made:
        yield made


def keys(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


async def got(receiver: Receiver, count: int) -> None:
    await eventually(lambda: len(receiver.taken) >= count, 30, what=f"{count} events taken")


async def eventually_delivered(shop: World, endpoint: str) -> None:
    async def is_delivered() -> bool:
        return bool(await shop.deliveries(endpoint, "delivered"))

    await eventually(is_delivered, 10)


async def test_an_endpoint_gets_nothing_before_it_has_echoed_its_challenge(shop: World) -> None:
    receiver = shop.receivers[0]
    receiver.echo = lambda challenge: json.dumps({"data": {"challenge": challenge}}).encode()
    endpoint = await shop.endpoint(receiver, proven=False)
    await shop.hear(new_id())
    await eventually(lambda: len(receiver.pings) == 1)
    await shop.until_idle()
    assert receiver.calls == []
    shown = (await shop.fed.client.get(f"/endpoints/{endpoint['id']}")).json()
    assert (shown["status"], shown["ping_result"][:39]) == ("unproven", "It answered 200, without the challenge:")
    receiver.echo = lambda challenge: json.dumps({"challenge": challenge}).encode()
    await shop.fed.client.post(f"/endpoints/{endpoint['id']}/ping")
    await shop.until_status(endpoint["id"], "active")
    late = new_id()
    await shop.hear(late)
    await got(receiver, 1)
    assert [each["data"]["order"] for each in receiver.taken] == [late]


async def test_an_event_comes_as_it_was_said_and_signed(shop: World) -> None:
    receiver, key = shop.receivers[0], new_id()
    endpoint = await shop.endpoint(receiver)
    await shop.hear(key)
    await got(receiver, 1)
    [call] = receiver.calls
    event = Webhook(endpoint["secret"]).verify(call.body, dict(call.headers))
    assert call.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert call.headers["webhook-id"] == event["id"]
    assert (event["specversion"], event["type"], event["partitionkey"]) == ("1.0", PLACED, key)
    assert event["time"] == "2026-11-01T18:30:00.000000Z"
    assert event["data"] == {**sample_of(PLACED), "order": key}
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(call.body + b" ", dict(call.headers))


async def test_old_and_new_secret_sign_after_a_rotation(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver)
    rotated = (await shop.fed.client.post(f"/endpoints/{endpoint['id']}/secret")).json()
    assert rotated["secret"] != endpoint["secret"]
    await shop.hear(new_id())
    await got(receiver, 1)
    for secret in (endpoint["secret"], rotated["secret"]):
        Webhook(secret).verify(receiver.calls[0].body, dict(receiver.calls[0].headers))
    await shop.pass_time(timedelta(hours=25))
    await shop.hear(new_id())
    await got(receiver, 2)
    Webhook(rotated["secret"]).verify(receiver.calls[1].body, dict(receiver.calls[1].headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(receiver.calls[1].body, dict(receiver.calls[1].headers))


async def test_a_secret_is_shown_only_when_it_is_made(shop: World) -> None:
    endpoint = await shop.endpoint(shop.receivers[0])
    for path in ("/endpoints", f"/endpoints/{endpoint['id']}"):
        assert endpoint["secret"] not in (await shop.fed.client.get(path)).text


async def test_an_endpoint_gets_the_events_it_asks_for(shop: World) -> None:
    orders, baked, everything = shop.receivers
    await shop.endpoint(orders, "sliceline.orders.*")
    await shop.endpoint(baked, BAKED)
    await shop.endpoint(everything)
    await shop.hear(*keys(2))
    await shop.hear(*keys(3), event_type=BAKED)
    await got(everything, 5)
    await shop.until_idle()
    assert {each["type"] for each in orders.taken} == {PLACED}
    assert {each["type"] for each in baked.taken} == {BAKED}
    assert [len(each.taken) for each in shop.receivers] == [2, 3, 5]


async def test_what_a_rule_makes_for_an_endpoint_comes_to_that_alone_and_in_its_shape(shop: World) -> None:
    named, everything, _ = shop.receivers
    endpoint = await shop.endpoint(named, name="accounting", pattern=None)
    await shop.endpoint(everything)
    await shop.hear(new_id())
    await got(everything, 1)
    sample = sample_of(REQUESTED)
    await shop.fed.feed((REQUESTED, {**sample, "input": {"text": "A large one"}}))
    await got(named, 1)
    await shop.until_idle()
    [call] = named.calls
    assert Webhook(endpoint["secret"]).verify(call.body, dict(call.headers)) == {"text": "A large one"}
    assert call.headers["content-type"] == "application/json"
    [delivery] = await shop.deliveries("accounting")
    assert (call.headers["webhook-id"], delivery["type"]) == (delivery["event"], REQUESTED)
    assert len(everything.calls) == 1


async def test_what_a_rule_makes_for_an_endpoint_that_comes_later_is_replayed(shop: World) -> None:
    since = shop.context.database.now() - HOUR
    await shop.fed.feed((REQUESTED, sample_of(REQUESTED)))
    receiver = shop.receivers[0]
    await shop.endpoint(receiver, name="accounting", pattern=None)
    await shop.fed.client.post("/endpoints/accounting/replay-missing", json={"since": since.isoformat()})
    await eventually(lambda: len(receiver.calls) == 1)
    assert json.loads(receiver.calls[0].body) == sample_of(REQUESTED)["input"]


async def test_an_event_that_is_heard_twice_is_sent_once(shop: World) -> None:
    receiver = shop.receivers[0]
    await shop.endpoint(receiver)
    record = shop.fed.record(PLACED, sample_of(PLACED))
    await shop.fed.deliver(record, record)
    await shop.fed.deliver(record)
    await got(receiver, 1)
    await shop.until_idle()
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_receiver_that_fails_for_an_hour_then_gets_every_event_once(shop: World, ordered: bool) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver, ordered=ordered)
    receiver.status = 500
    orders = keys(4)
    for _ in range(3):
        await shop.hear(*orders)
    await shop.pass_time(HOUR)
    assert len(receiver.calls) >= 40
    assert receiver.taken == []
    receiver.status = 200
    await shop.hear(*orders)
    await shop.pass_time(timedelta(minutes=25))
    assert sorted(receiver.ids) == sorted(set(receiver.ids))
    assert len(receiver.taken) == 16
    assert {each["status"] for each in await shop.deliveries(endpoint["id"])} == {"delivered"}
    for call in receiver.calls:
        assert call.headers["webhook-id"] == json.loads(call.body)["id"]
    if ordered:
        for order in orders:
            sequences = [int(each["sequence"]) for each in receiver.taken if each["partitionkey"] == order]
            assert sequences == sorted(sequences)
            assert len(sequences) == 4


async def test_a_failing_event_holds_up_its_own_key_alone_where_order_matters(shop: World) -> None:
    receiver = shop.receivers[0]
    poison, fine = keys(2)
    mood = {"status": 500}

    async def decide(event: dict[str, Any]) -> int:
        return mood["status"] if event["partitionkey"] == poison else 200

    receiver.decide = decide
    await shop.endpoint(receiver, ordered=True)
    await shop.hear(poison, fine, poison, fine, poison)
    await got(receiver, 2)
    await shop.pass_time(timedelta(minutes=10))
    assert [each["partitionkey"] for each in receiver.taken] == [fine, fine]
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 3
    mood["status"] = 200
    await shop.pass_time(timedelta(minutes=25))
    held = [int(each["sequence"]) for each in receiver.taken if each["partitionkey"] == poison]
    assert (len(held), held) == (3, sorted(held))


async def test_a_failing_event_holds_up_no_other_where_order_does_not_matter(shop: World) -> None:
    receiver, key = shop.receivers[0], new_id()
    first: list[str] = []

    async def decide(event: dict[str, Any]) -> int:
        first.append(event["id"])
        return 500 if event["id"] == first[0] else 200

    receiver.decide = decide
    await shop.endpoint(receiver, concurrency=1)
    await shop.hear(key, key, key)
    await shop.pass_time(timedelta(seconds=30))
    assert len(receiver.taken) == 2


async def test_an_event_that_comes_after_a_failing_one_does_not_wait_for_it(shop: World) -> None:
    receiver, poison = shop.receivers[0], new_id()

    async def decide(event: dict[str, Any]) -> int:
        return 500 if event["partitionkey"] == poison else 200

    receiver.decide = decide
    await shop.endpoint(receiver)
    await shop.hear(poison)
    await shop.pass_time(timedelta(hours=2))
    await shop.hear(new_id())
    await shop.pass_time(timedelta(seconds=20))
    assert len(receiver.taken) == 1


async def test_a_receiver_that_hangs_holds_up_no_other(shop: World) -> None:
    hanging, dead, quick = shop.receivers
    never = asyncio.Event()

    async def hang(_: dict[str, Any]) -> int:
        await never.wait()
        return 200

    hanging.decide = hang
    for receiver in shop.receivers:
        await shop.endpoint(receiver)
    dead.status = 500
    for _ in range(3):
        await shop.hear(*keys(20))
    await got(quick, 60)
    await eventually(lambda: hanging.under_way == 4)
    assert hanging.taken == []
    assert dead.taken == []
    never.set()


async def test_a_pause_that_a_receiver_asks_for_is_kept(shop: World) -> None:
    receiver = shop.receivers[0]
    receiver.status, receiver.headers = 429, {"Retry-After": "1800"}
    endpoint = await shop.endpoint(receiver)
    await shop.hear(new_id())
    await eventually(lambda: len(receiver.calls) == 1)
    await shop.until_idle()
    await shop.hear(new_id())
    await shop.pass_time(timedelta(minutes=29))
    assert len(receiver.calls) == 1
    receiver.status = 200
    await shop.pass_time(timedelta(minutes=2))
    assert len(receiver.taken) == 2
    assert (await shop.until_status(endpoint["id"], "active"))["failures"] == 0


async def test_a_receiver_that_is_gone_is_called_no_more(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver)
    receiver.status = 410
    await shop.hear(new_id())
    shown = await shop.until_status(endpoint["id"], "disabled")
    assert shown["reason"] == "It answered 410: it is gone."
    await shop.hear(new_id())
    await shop.pass_time(HOUR)
    assert len(receiver.calls) == 1
    told = await shop.fed.published(endpoint["id"])
    assert told == [
        (
            "sliceline.webhooks.endpoint-disabled.v1",
            {"endpoint": endpoint["id"], "reason": "It answered 410: it is gone."},
        )
    ]


async def test_what_an_old_address_still_answers_is_not_held_against_the_new_one(shop: World) -> None:
    before, after, _ = shop.receivers
    answered = asyncio.Event()

    async def decide(_: dict[str, Any]) -> int:
        await answered.wait()
        return 410

    before.decide = decide
    endpoint = await shop.endpoint(before)
    await shop.hear(new_id())
    await eventually(lambda: before.under_way == 1)
    await shop.fed.client.patch(f"/endpoints/{endpoint['id']}", json={"url": after.url})
    await shop.until_status(endpoint["id"], "active")
    answered.set()
    await eventually(lambda: before.under_way == 0)
    await shop.pass_time(timedelta(minutes=1))
    assert len(after.taken) == 1
    assert len(await shop.attempt_times(endpoint["id"])) == 2
    shown = await shop.until_status(endpoint["id"], "active")
    assert (shown["failures"], shown["rests_until"]) == (0, None)


async def test_failures_are_told_at_each_share_and_disable_in_the_end(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver, allowed_failures=10)
    receiver.status = 503
    await shop.hear(new_id())
    await shop.pass_time(timedelta(hours=2))
    await shop.until_status(endpoint["id"], "disabled")
    told = await shop.fed.published(endpoint["id"])
    failing = [data for kind, data in told if kind == "sliceline.webhooks.endpoint-failing.v1"]
    assert [(each["percent"], each["failures"]) for each in failing] == [(50, 5), (70, 7), (90, 9), (100, 10)]
    assert {each["reason"] for each in failing} == {"It answered 503."}
    assert told[-1][0] == "sliceline.webhooks.endpoint-disabled.v1"
    assert len(receiver.calls) == 10
    receiver.status = 200
    await shop.fed.client.patch(f"/endpoints/{endpoint['id']}", json={"status": "active"})
    await got(receiver, 1)


async def test_an_event_is_parked_after_a_day_and_what_is_behind_it_follows_when_it_is_redriven(shop: World) -> None:
    receiver, key, other = shop.receivers[0], *keys(2)
    mood = {"status": 500}

    async def decide(event: dict[str, Any]) -> int:
        return mood["status"] if event["partitionkey"] == key else 200

    receiver.decide = decide
    endpoint = await shop.endpoint(receiver, ordered=True)
    await shop.hear(key, key, other)
    for _ in range(9):
        await shop.pass_time(timedelta(hours=3))
        await shop.hear(other)  # something gets through, so the endpoint is not failing
    await shop.pass_time(timedelta(seconds=20))
    parked, waiting = await shop.deliveries(endpoint["id"], "parked"), await shop.deliveries(endpoint["id"], "waiting")
    assert ([each["key"] for each in parked], [each["key"] for each in waiting]) == ([key], [key])
    path = f"/endpoints/{endpoint['id']}/deliveries/{parked[0]['event']}"
    document = (await shop.fed.client.get(path)).json()
    assert {each["status"] for each in document["tries"]} == {500}
    assert document["attempts"] == len(document["tries"]) > 80
    assert document["tries"][0]["said"] == "thanks"
    mood["status"] = 200
    assert (await shop.fed.client.post(f"{path}/redrive")).json()["status"] == "waiting"
    await eventually(lambda: sum(each["partitionkey"] == key for each in receiver.taken) == 2)
    sequences = [int(each["sequence"]) for each in receiver.taken if each["partitionkey"] == key]
    assert sequences == sorted(sequences)
    again = await shop.fed.client.post(f"{path}/redrive")
    assert (again.status_code, again.json()["title"]) == (409, "Not parked")


async def test_what_waits_behind_a_parked_event_is_sent_when_that_is_discarded(shop: World) -> None:
    receiver, key = shop.receivers[0], new_id()
    endpoint = await shop.endpoint(receiver, ordered=True)
    receiver.status = 500
    await shop.hear(key, key)
    await shop.until_idle()
    await shop.park_first(endpoint["id"])
    receiver.status = 200
    await shop.pass_time(HOUR)
    assert receiver.taken == []
    [parked] = await shop.deliveries(endpoint["id"], "parked")
    discarded = await shop.fed.client.post(f"/endpoints/{endpoint['id']}/deliveries/{parked['event']}/discard")
    assert discarded.json()["status"] == "discarded"
    await got(receiver, 1)
    assert parked["event"] not in receiver.ids


async def test_no_more_calls_are_under_way_than_an_endpoint_bears(shop: World) -> None:
    receiver = shop.receivers[0]

    async def slowly(_: dict[str, Any]) -> int:
        await asyncio.sleep(0.01)
        return 200

    receiver.decide = slowly
    await shop.endpoint(receiver, concurrency=3)
    for _ in range(3):
        await shop.hear(*keys(20))
    await got(receiver, 60)
    assert receiver.most_under_way == 3


async def test_an_endpoints_rate_is_obeyed_over_rounds(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.webhooks.jobs.ROUND_SECONDS", 0.3)
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver, rate=20.0, concurrency=2)
    await shop.hear(*keys(25))
    await got(receiver, 25)
    await shop.until_idle()
    began = await shop.attempt_times(endpoint["id"])
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(began, began[10:], strict=False)]
    assert len(began) == 25
    assert min(gaps) >= 0.45


async def test_a_rate_that_is_next_to_nothing_sends_an_event_once(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver)
    async with shop.fed.database.transaction() as tx:
        await tx.raw.execute("UPDATE endpoints SET rate = 1e-12")
    await shop.hear(new_id())
    await got(receiver, 1)
    await eventually_delivered(shop, endpoint["id"])
    assert len(receiver.calls) == 1


async def test_two_replicas_send_each_event_once(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(new_database, monkeypatch, replicas=2) as shop:
        receiver = shop.receivers[0]
        await shop.endpoint(receiver, ordered=True)
        orders = keys(5)
        for _ in range(10):
            await shop.hear(*orders)
        await got(receiver, 50)
        await shop.until_idle()
        assert len(receiver.calls) == 50
        for order in orders:
            sequences = [int(each["sequence"]) for each in receiver.taken if each["partitionkey"] == order]
            assert sequences == sorted(sequences)


async def test_what_is_being_sent_when_the_process_stops_is_sent_again(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.jobs.LAST_SECONDS", 0.1)
    async with world(new_database, monkeypatch) as shop:
        receiver, hangs = shop.receivers[0], new_id()
        never = asyncio.Event()

        async def decide(event: dict[str, Any]) -> int:
            if event["partitionkey"] == hangs and not never.is_set():
                await never.wait()
            return 200

        receiver.decide = decide
        endpoint = await shop.endpoint(receiver)
        await shop.hear(hangs, *keys(6))
        await got(receiver, 6)
        await shop.stop()
        statuses = [each["status"] for each in await shop.deliveries(endpoint["id"])]
        assert sorted(statuses) == ["delivered"] * 6 + ["waiting"]
        never.set()
        async with shop.again():
            await eventually(lambda: hangs in {each["partitionkey"] for each in receiver.taken})
        assert len({each.headers["webhook-id"] for each in receiver.calls}) == 7


async def test_recovering_sends_everything_since_a_time_again_under_the_same_ids(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver, "sliceline.orders.*", ordered=True)
    await shop.hear(*keys(3))
    await got(receiver, 3)
    await shop.pass_time(HOUR)
    since = shop.context.database.now() - timedelta(minutes=30)
    await shop.hear(*keys(4))
    await shop.hear(*keys(2), event_type=BAKED)
    await got(receiver, 7)
    await shop.until_idle()
    before = receiver.ids[3:]
    answer = await shop.fed.client.post(f"/endpoints/{endpoint['id']}/recover", json={"since": since.isoformat()})
    assert answer.status_code == 202
    await got(receiver, 11)
    await shop.until_idle()
    assert receiver.ids[7:] == before


async def test_replaying_what_is_missing_sends_only_that(shop: World) -> None:
    receiver = shop.receivers[0]
    early = keys(2)
    since = shop.context.database.now() - HOUR
    await shop.hear(*early)
    endpoint = await shop.endpoint(receiver, ordered=True)
    await shop.hear(*keys(2))
    await got(receiver, 2)
    await shop.until_idle()
    answer = await shop.fed.client.post(
        f"/endpoints/{endpoint['id']}/replay-missing", json={"since": since.isoformat()}
    )
    assert answer.status_code == 202
    await got(receiver, 4)
    await shop.until_idle()
    assert [each["partitionkey"] for each in receiver.taken[2:]] == early
    assert len(receiver.calls) == 4


async def test_a_recovery_of_many_events_goes_on_part_by_part(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.webhooks.jobs.RECOVER_MOST", 3)
    receiver = shop.receivers[0]
    since = shop.context.database.now() - HOUR
    await shop.hear(*keys(10))
    endpoint = await shop.endpoint(receiver)
    await shop.fed.client.post(f"/endpoints/{endpoint['id']}/replay-missing", json={"since": since.isoformat()})
    await got(receiver, 10)
    await shop.until_idle()
    assert len(receiver.calls) == 10


async def test_what_happens_during_a_recovery_comes_after_what_is_recovered_where_order_matters(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.jobs.RECOVER_MOST", 2)
    receiver, order = shop.receivers[0], new_id()
    for _ in range(5):
        await shop.hear(order)
    endpoint = await shop.endpoint(receiver, ordered=True)
    await recovery_in(shop, endpoint["id"], HOUR)
    await shop.hear(order)
    await shop.until_idle()
    assert receiver.calls == []
    await shop.pass_time(2 * HOUR)
    sequences = [int(each["sequence"]) for each in receiver.taken]
    assert len(sequences) == 6
    assert sequences == sorted(sequences)


async def recovery_in(shop: World, endpoint: str, span: timedelta) -> None:
    """Ask for the recovery of what was ever heard, which goes on only after so much time."""
    async with shop.fed.database.transaction() as tx:
        recovery = Recovery(endpoint=endpoint, since=tx.now - 10 * HOUR, until=tx.now, even_delivered=False)
        tx.schedule(RECOVER, new_id(), msgspec.to_builtins(recovery), due=tx.now + span)


async def test_an_endpoint_that_somebody_disables_keeps_what_it_is_owed(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver)
    receiver.status = 500
    await shop.hear(*keys(2))
    await shop.until_idle()
    disabled = await shop.fed.client.patch(
        f"/endpoints/{endpoint['id']}", json={"status": "disabled"}, headers=by("ada")
    )
    assert disabled.json()["reason"] == "ada has disabled it."
    calls = len(receiver.calls)
    await shop.pass_time(HOUR)
    assert len(receiver.calls) == calls
    receiver.status = 200
    await shop.fed.client.patch(f"/endpoints/{endpoint['id']}", json={"status": "active"})
    await got(receiver, 2)


async def test_an_endpoint_whose_address_is_changed_loses_no_event(shop: World) -> None:
    before, after, _ = shop.receivers
    after.echo = lambda _: b"not yet"
    endpoint = await shop.endpoint(before)
    changed = await shop.fed.client.patch(f"/endpoints/{endpoint['id']}", json={"url": after.url})
    assert changed.json()["status"] == "unproven"
    await shop.hear(*keys(3))
    await eventually(lambda: len(after.pings) > 0)
    assert len(await shop.deliveries(endpoint["id"], "waiting")) == 3
    assert (before.calls, after.calls) == ([], [])
    after.echo = str.encode
    await shop.fed.client.post(f"/endpoints/{endpoint['id']}/ping")
    await got(after, 3)


async def test_an_endpoint_that_is_enabled_again_gets_what_happens_from_then_on(shop: World) -> None:
    receiver = shop.receivers[0]
    since = shop.context.database.now() - HOUR
    endpoint = await shop.endpoint(receiver)
    path = f"/endpoints/{endpoint['id']}"
    await shop.fed.client.patch(path, json={"status": "disabled"})
    await shop.hear(*keys(2))
    receiver.echo = lambda _: b"not yet"
    await shop.fed.client.patch(path, json={"status": "active"})
    await shop.hear(*keys(3))
    receiver.echo = str.encode
    await shop.fed.client.post(f"{path}/ping")
    await got(receiver, 3)
    await shop.until_idle()
    assert len(receiver.calls) == 3
    await shop.fed.client.post(f"{path}/replay-missing", json={"since": since.isoformat()})
    await got(receiver, 5)


async def test_a_deleted_endpoint_gets_nothing_more(shop: World) -> None:
    receiver = shop.receivers[0]
    endpoint = await shop.endpoint(receiver)
    receiver.status = 500
    await shop.hear(new_id())
    await shop.until_idle()
    assert (await shop.fed.client.delete(f"/endpoints/{endpoint['id']}")).status_code == 204
    calls = len(receiver.calls)
    receiver.status = 200
    await shop.hear(new_id())
    await shop.pass_time(HOUR)
    assert len(receiver.calls) == calls
    assert (await shop.fed.client.get(f"/endpoints/{endpoint['id']}")).status_code == 404


async def test_events_are_forgotten_when_they_are_old(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.webhooks.jobs.PRUNE_EVERY", timedelta(hours=12))
    endpoint = await shop.endpoint(shop.receivers[0])
    await shop.hear(*keys(3))
    await got(shop.receivers[0], 3)
    await shop.pass_time(timedelta(days=29))
    assert len(await shop.deliveries(endpoint["id"])) == 3
    await shop.pass_time(timedelta(days=1, hours=13))
    assert await shop.deliveries(endpoint["id"]) == []


async def test_a_round_is_settled_although_an_event_of_it_was_forgotten_meanwhile(shop: World) -> None:
    receiver = shop.receivers[0]
    answered = asyncio.Event()

    async def decide(_: dict[str, Any]) -> int:
        await answered.wait()
        return 200

    receiver.decide = decide
    endpoint = await shop.endpoint(receiver)
    await shop.hear(*keys(2))
    await eventually(lambda: receiver.under_way == 2)
    async with shop.fed.database.transaction() as tx:
        await tx.raw.execute("DELETE FROM messages WHERE position = (SELECT min(position) FROM messages)")
    answered.set()
    await eventually_delivered(shop, endpoint["id"])
    assert len(receiver.calls) == 2
    assert len(await shop.attempt_times(endpoint["id"])) == 1


async def test_an_event_that_is_still_tried_is_not_forgotten(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.jobs.PRUNE_EVERY", timedelta(minutes=10))
    async with world(new_database, monkeypatch, webhook_days="1") as shop:
        receiver = shop.receivers[0]
        receiver.status = 503
        endpoint = await shop.endpoint(receiver)
        event = new_id()
        await shop.hear(event)
        await eventually(lambda: len(receiver.calls) > 0)
        await age_messages(shop, timedelta(hours=12))
        await shop.pass_time(timedelta(hours=13))
        assert len(await shop.deliveries(endpoint["id"], "waiting")) == 1
        receiver.status = 200
        await shop.pass_time(timedelta(minutes=30))
        assert [each["partitionkey"] for each in receiver.taken] == [event]
        assert await shop.deliveries(endpoint["id"]) == []


async def age_messages(shop: World, span: timedelta) -> None:
    """Let the events have been heard so much earlier than they were."""
    async with shop.fed.database.transaction() as tx:
        await tx.raw.execute("UPDATE messages SET received_at = received_at - $1::interval", span)
