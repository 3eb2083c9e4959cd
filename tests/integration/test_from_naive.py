"""The way from the old shop: every step takes an order and keeps its promise; the first shows why there is a way."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from backbone.events.envelope import from_record
from local import kafka
from tests.waiting import DEADLINE, eventually
from world import World, world


@pytest.fixture(scope="module")
def outside(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("way")
    broker = kafka.start(folder / "kafka", is_open=True)
    try:
        with world(postgres, broker.bootstrap, folder) as there:
            asyncio.run(there.make_topics())
            yield there
    finally:
        broker.server.kill()


class Shop:
    """A step of the way, as its customers and its books see it."""

    def __init__(self, there: World, client: httpx.AsyncClient) -> None:
        self.there = there
        self._client = client

    async def order(self, who: str) -> httpx.Response:
        customer = {"id": who, "name": who, "email": f"{who}@example.com"}
        order = {"customer": customer, "address": "1 Mill Lane", "item": "margherita", "quantity": 2}
        return await self._client.post(f"{self.there.url('shop')}/orders", json=order)

    async def killed_while_charging(self, who: str) -> None:
        """Kill the step when the customer's money is taken, and nobody has heard of it yet."""
        await self.mood(timeout_after_charging=True)
        ordering = asyncio.create_task(self.order(who))
        await eventually(lambda: self.is_charged(who))
        self.there.kill()
        await asyncio.wait([ordering])
        await self.mood()
        assert ordering.exception() is not None or ordering.result().status_code == 202

    async def mood(self, **mood: Any) -> None:
        (await self._client.put(f"{self.there.url('provider')}/moods", json=mood)).raise_for_status()

    async def charges(self, who: str) -> int:
        ledger = (await self._client.get(f"{self.there.url('provider')}/ledger")).json()
        return sum(entry["customer"] == who and entry["kind"] == "charge" for entry in ledger)

    async def is_charged(self, who: str) -> bool:
        return await self.charges(who) > 0

    async def mails(self, who: str) -> int:
        answer = await self._client.get(f"{self.there.url('mail')}/api/v1/messages", params={"limit": 1000})
        return [to["Address"] for mail in answer.json()["messages"] for to in mail["To"]].count(f"{who}@example.com")

    async def is_mailed(self, who: str) -> bool:
        return await self.mails(who) > 0

    async def status(self, who: str) -> str | None:
        """What the books say of the customer's order; None where they know of none."""
        found = await self.rows("SELECT status, content FROM orders")
        return next((row["status"] for row in found if json.loads(row["content"])["customer"]["id"] == who), None)

    async def left(self) -> int:
        """How many margheritas there still are."""
        [row] = await self.rows("SELECT available FROM stock WHERE item = 'margherita'")
        return int(row["available"])

    async def is_rejected(self, who: str) -> bool:
        return await self.status(who) == "rejected"

    async def is_confirmed(self, who: str) -> bool:
        return await self.status(who) == "confirmed"

    async def rows(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.there.databases["shop"])
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()


@pytest.fixture
async def shop(outside: World) -> AsyncIterator[Shop]:
    await outside.make_databases()
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        yield Shop(outside, client)
    outside.kill()


async def test_the_naive_shop_takes_money_for_an_order_that_it_then_knows_nothing_of(shop: Shop) -> None:
    shop.there.start("step0_naive")
    assert (await shop.order("ada0")).json()["status"] == "confirmed"
    assert (await shop.status("ada0"), await shop.mails("ada0")) == ("confirmed", 1)
    await shop.killed_while_charging("bob0")
    assert (await shop.charges("bob0"), await shop.status("bob0")) == (1, None)


async def test_the_shop_that_records_its_changes_still_knows_them_after_it_is_killed(shop: Shop) -> None:
    shop.there.start("step1_record")
    await shop.mood(decline_customers=["eve1"])
    assert (await shop.order("eve1")).status_code == 402
    assert (await shop.order("ada1")).json()["status"] == "confirmed"
    await shop.killed_while_charging("bob1")
    assert (await shop.charges("bob1"), await shop.status("bob1")) == (1, "placed")
    changes = [row["type"].removeprefix("order-") for row in await shop.rows("SELECT * FROM changes ORDER BY position")]
    assert changes == ["placed", "rejected", "placed", "confirmed", "placed"]
    assert await shop.left() == 10_000 - 2 * 2  # what was rejected is back


async def test_what_was_recorded_is_published(shop: Shop) -> None:
    shop.there.start("step2_publish")
    order = (await shop.order("ada2")).json()["id"]
    consumer = AIOKafkaConsumer("orders.events", bootstrap_servers=shop.there.kafka, auto_offset_reset="earliest")
    await consumer.start()
    async with asyncio.timeout(DEADLINE):
        heard = [await consumer.getone() for _ in range(2)]
    await consumer.stop()
    events = [from_record(record.key, record.value, record.headers) for record in heard]
    assert [event.type.split(".")[-2] for event in events] == ["order-placed", "order-confirmed"]
    assert {event.subject for event in events} == {order}


async def test_the_shop_whose_mail_moved_out_does_not_notice_that_the_mail_server_is_away(shop: Shop) -> None:
    shop.there.start("step3_mail_out")
    shop.there.kill("mail")
    answer = await shop.order("ada3")
    shop.there.start_outside("mail")
    assert answer.json()["status"] == "confirmed"
    await eventually(lambda: shop.is_mailed("ada3"))
    assert await shop.mails("ada3") == 1
    shop.there.stop()  # else Kafka would wait for the killed consumers, and the next test for Kafka


@pytest.mark.long
async def test_the_last_step_waits_for_nobody_and_finishes_also_what_a_step_before_has_left(shop: Shop) -> None:
    shop.there.start("step2_publish")
    await shop.killed_while_charging("ada4")
    assert await shop.status("ada4") == "placed"
    shop.there.start("step4_payments_out")
    await eventually(lambda: shop.is_confirmed("ada4"))
    await shop.mood(decline_customers=["eve4"])
    await shop.order("eve4")
    await eventually(lambda: shop.is_rejected("eve4"))
    await shop.killed_while_charging("bob4")
    assert await shop.status("bob4") == "placed"
    shop.there.start("step4_payments_out")
    for who in ("ada4", "bob4"):
        await eventually(lambda: shop.is_mailed(who))  # noqa: B023  it has ended when the loop goes on
        assert (await shop.charges(who), await shop.status(who), await shop.mails(who)) == (1, "confirmed", 1)
    assert await shop.left() == 10_000 - 2 * 2
