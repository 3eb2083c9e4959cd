"""Payments against the real sandbox provider in its moods, with a real database and the real workers."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.ids import new_id
from backbone.jobs.work import Done, Job, LeaseLost
from backbone.jobs.worker import Worker
from backbone.storage.database import Database
from services.payments import jobs, pace, provider, store
from services.payments.decisions import Payment
from services.payments.events import Money
from services.payments.service import SERVICE
from services.payments.settings import Settings
from tests.clocks import off_by
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_sandbox import a_provider, client
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"
REJECTED = "sliceline.orders.order-rejected.v1"
CANCELLED = "sliceline.orders.order-cancelled.v1"
CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
AMOUNT = {"amount": 2400, "currency": "GBP"}
ENDED = {"received", "failed", "withdrawn", "voided", "refunded"}
Told = tuple[str, dict[str, Any]]


def placed(order: str) -> Told:
    line = {"item": "margherita", "quantity": 2, "unit_price": {"amount": 1200, "currency": "GBP"}, "baked": True}
    return PLACED, {
        "order": order,
        "customer": CUSTOMER,
        "fulfilment": "collection",
        "address": None,
        "lines": [line],
        "total": AMOUNT,
    }


def ended(order: str, event_type: str = CANCELLED) -> Told:
    return event_type, {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}


@dataclass
class Desk:
    """Payments, the provider it calls, and how both are spoken to."""

    payments: Fed
    sandbox: httpx.AsyncClient
    context: Context[Settings]

    async def mood(self, **moods: Any) -> None:
        (await self.sandbox.put("/moods", json=moods)).raise_for_status()

    async def stats(self) -> dict[str, int]:
        stats: dict[str, int] = (await self.sandbox.get("/stats")).json()
        return stats

    async def ledger(self, order: str) -> list[str]:
        entries = (await self.sandbox.get("/ledger", params={"reference": order})).json()
        return [entry["kind"] for entry in entries]

    async def view(self, order: str) -> dict[str, Any]:
        view: dict[str, Any] = (await self.payments.client.get(f"/payments/{order}")).json()
        return view

    async def published(self, order: str) -> list[str]:
        return [event_type.split(".")[2] for event_type, _ in await self.payments.published(order)]

    async def until(self, order: str, *statuses: str) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            view = await self.view(order)
            return view if view["status"] in statuses else None

        return await eventually(found, 30, what=f"payment of {order} {' or '.join(statuses)}")

    async def place(self, *orders: str) -> str:
        orders = orders or (new_id(),)
        await self.payments.feed(*(placed(order) for order in orders))
        return orders[0]

    @asynccontextmanager
    async def working(self, *others: Context[Settings]) -> AsyncIterator[None]:
        """With this process, and others if given, doing the jobs."""
        contexts = (self.context, *others)
        workers = [Worker(kind, work, each) for each in contexts for kind, work in SERVICE.jobs.items()]
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with a_provider() as (url, _):
        yield url


@pytest.fixture
async def desk(new_database: NewDatabase, sandbox_url: str) -> AsyncIterator[Desk]:
    async with fed(SERVICE, new_database) as payments, client(sandbox_url) as sandbox:
        await sandbox.delete("/ledger")
        settings = Settings(database_url="postgresql://unused", provider_url=sandbox_url, provider_rate=0)
        context = Context(settings, payments.database)
        yield Desk(payments, sandbox, context)
        await context.http.aclose()


def retell(desk: Desk, **changes: Any) -> None:
    desk.context.settings = desk.context.settings.model_copy(update=changes)


def job(order: str) -> Job:
    now = datetime.now(UTC)
    return Job(0, "charge", order, {}, 1, now, now, Cause(new_id()), None)


@pytest.mark.parametrize("how", [CANCELLED, REJECTED])
@pytest.mark.parametrize("at_once", [True, False])
async def test_an_order_that_is_heard_to_end_before_it_is_heard_of_is_never_charged(
    desk: Desk, how: str, at_once: bool
) -> None:
    order, other = new_id(), new_id()
    events = [ended(order, how), placed(order)]
    for batch in [events] if at_once else [[each] for each in events]:
        await desk.payments.feed(*batch)
    async with desk.working():
        await desk.place(other)
        await desk.until(other, "received")
    view = await desk.view(order)
    assert (view["status"], view["reason"]) == ("withdrawn", "changed my mind")
    assert (await desk.ledger(order), await desk.published(order)) == ([], ["payment-voided"])


async def test_replicas_that_hear_both_ends_of_an_order_at_once_charge_nothing(desk: Desk) -> None:
    orders = [new_id() for _ in range(40)]
    halves = [[desk.payments.record(*told(order)) for order in orders] for told in (placed, ended)]

    await asyncio.gather(*(desk.payments.insist(*half, partition=number) for number, half in enumerate(halves)))
    assert {(await desk.view(order))["status"] for order in orders} == {"withdrawn"}
    assert [await desk.published(order) for order in orders] == [["payment-voided"]] * 40


async def test_a_payment_and_an_end_that_another_replica_wrote_meanwhile_are_decided_again(desk: Desk) -> None:
    amount = Money(2400, "GBP")
    for first, second in (("ada", ""), ("", "ada")):
        order = new_id()
        async with desk.payments.database.transaction() as tx:
            await store.save(tx, Payment(order=order, customer=first, amount=amount))
        with pytest.raises(asyncpg.SerializationError):
            async with desk.payments.database.transaction() as tx:
                await store.save(tx, Payment(order=order, customer=second, amount=amount))


async def test_an_order_is_charged_once_and_that_is_told(desk: Desk) -> None:
    order = await desk.place()
    assert (await desk.view(order))["status"] == "queued"
    async with desk.working():
        view = await desk.until(order, "received")
    assert (view["amount"], view["reference"], view["reason"]) == (AMOUNT, order, None)
    assert await desk.payments.published(order) == [
        (
            "sliceline.payments.payment-received.v1",
            {"order": order, "amount": AMOUNT, "reference": order, "reason": None},
        )
    ]
    assert (await desk.ledger(order), (await desk.stats())["calls"]) == (["charge"], 1)


async def test_a_payment_nobody_knows_is_404(desk: Desk) -> None:
    answer = await desk.payments.client.get(f"/payments/{new_id()}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await desk.payments.client.get("/payments/%00")).status_code in (400, 404, 422)


async def test_a_declined_payment_fails_and_says_why(desk: Desk) -> None:
    await desk.mood(declining=True)
    order = await desk.place()
    async with desk.working():
        view = await desk.until(order, "failed")
    assert view["reason"] == "The payment was declined: insufficient_funds."
    assert await desk.published(order) == ["payment-failed", "payment-voided"]
    assert await desk.ledger(order) == ["decline"]


async def test_charged_and_then_no_answer_is_found_by_asking(desk: Desk) -> None:
    await desk.mood(timeout_after_charging=True, hang_seconds=0.1)
    order = await desk.place()
    async with desk.working():
        await desk.until(order, "received")
    assert (await desk.ledger(order), await desk.published(order)) == (["charge"], ["payment-received"])
    assert (await desk.stats())["calls"] == 2


async def test_a_charge_that_answers_too_late_is_found_by_asking(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "CALL_SECONDS", 0.2)
    await desk.mood(slow_seconds=0.6)
    order = await desk.place()
    async with desk.working():
        await desk.until(order, "received")
    assert (await desk.ledger(order), await desk.published(order)) == (["charge"], ["payment-received"])


async def test_a_provider_out_of_order_for_a_while_only_delays(desk: Desk) -> None:
    await desk.mood(failing=True)
    order = await desk.place()
    async with desk.working():
        await until_called(desk, 1)
        assert (await desk.view(order))["status"] == "charging"
        await desk.mood()
        await desk.until(order, "received")
    assert await desk.ledger(order) == ["charge"]


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_process_whose_clock_is_wrong_charges_and_gives_up_in_time(
    desk: Desk, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(timedelta(hours=hours), monkeypatch)
    await desk.mood(failing=True)
    order = await desk.place()
    async with desk.working():
        await until_called(desk, 2)
        assert (await desk.view(order))["status"] == "charging"
    retell(desk, payment_give_up_seconds=0.5)
    async with desk.working():
        await desk.until(order, "voiding")


async def test_an_attempt_that_fails_after_the_limit_was_the_last(desk: Desk) -> None:
    retell(desk, payment_give_up_seconds=0.01)
    await desk.mood(failing=True)
    order = await desk.place()
    async with desk.working():
        await desk.until(order, "voiding")
        assert await desk.published(order) == ["payment-failed"]
        await desk.mood()
        view = await desk.until(order, "voided")
    assert view["reason"] == "The payment provider could not be reached in time."
    assert (await desk.published(order), await desk.ledger(order)) == (["payment-failed", "payment-voided"], ["void"])


async def test_what_was_charged_before_giving_up_is_given_back(desk: Desk) -> None:
    retell(desk, payment_give_up_seconds=0.01)
    await desk.mood(timeout_after_charging=True, hang_seconds=0.1)
    order = await desk.place()
    async with desk.working():
        await desk.until(order, "refunded")
    assert await desk.published(order) == ["payment-failed", "payment-refunded"]
    assert await desk.ledger(order) == ["charge", "void", "refund"]


@pytest.mark.parametrize("how", [REJECTED, CANCELLED])
async def test_an_order_that_ends_in_the_queue_never_reaches_the_provider(desk: Desk, how: str) -> None:
    order = await desk.place()
    await desk.payments.feed(ended(order, how))
    async with desk.working():
        other = await desk.place()
        await desk.until(other, "received")
    assert (await desk.view(order))["status"] == "withdrawn"
    assert (await desk.ledger(order), await desk.published(order)) == ([], ["payment-voided"])


async def test_a_cancelled_order_gets_its_money_back_and_the_reason_is_told(desk: Desk) -> None:
    async with desk.working():
        order = await desk.place()
        await desk.until(order, "received")
        await desk.payments.feed(ended(order))
        await desk.until(order, "refunded")
    told = await desk.payments.published(order)
    assert [event_type.split(".")[2] for event_type, _ in told] == ["payment-received", "payment-refunded"]
    assert told[1][1]["reason"] == "changed my mind"
    assert await desk.ledger(order) == ["charge", "void", "refund"]


async def test_a_cancellation_while_the_charge_is_in_flight_lets_no_late_charge_through(desk: Desk) -> None:
    await desk.mood(slow_seconds=1)
    order = await desk.place()
    async with desk.working():
        await until_called(desk, 1)
        await desk.payments.feed(ended(order))
        await desk.until(order, "voided")
    assert (await desk.ledger(order), await desk.published(order)) == (["void"], ["payment-voided"])


async def test_a_process_that_dies_while_charging_charges_no_second_time(desk: Desk) -> None:
    await desk.mood(timeout_after_charging=True, hang_seconds=30)
    order = await desk.place()
    dying = asyncio.create_task(jobs.charge(job(order), desk.context))
    await until_called(desk, 1)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    async with desk.working():
        await desk.until(order, "received")
    assert (await desk.ledger(order), await desk.published(order)) == (["charge"], ["payment-received"])


async def test_two_runs_of_one_job_at_once_charge_and_tell_once(desk: Desk) -> None:
    await desk.mood(slow_seconds=0.3)
    order = await desk.place()
    zombie = asyncio.create_task(jobs.charge(job(order), desk.context))
    async with desk.working():
        await desk.until(order, "received")
        decide = await zombie
    assert decide is not None
    async with desk.payments.database.transaction() as tx:
        await jobs.settle([Done(job(order), decide, tx.cause)], tx)
    assert (await desk.ledger(order), await desk.published(order)) == (["charge"], ["payment-received"])


async def test_bad_weather_and_cancellations_at_any_moment_end_well(desk: Desk) -> None:
    # Rare enough that no order meets five failures in a row: the fifth pause alone would outlast the test.
    await desk.mood(fail_rate=0.05, slow_seconds=0.05)
    dice = random.Random(7)
    orders = [new_id() for _ in range(60)]
    to_cancel = {order for order in orders if dice.random() < 0.5}
    await desk.place(*orders)
    async with desk.working():
        for order in to_cancel:
            await asyncio.sleep(dice.random() * 0.02)
            await desk.payments.feed(ended(order))
        statuses = {order: (await desk.until(order, *ENDED))["status"] for order in orders}
    for order, status in statuses.items():
        charged = Counter(await desk.ledger(order))
        assert status in ({"withdrawn", "voided", "refunded"} if order in to_cancel else {"received"})
        assert charged["charge"] <= 1
        assert charged["charge"] - charged["refund"] == (status == "received")
        assert Counter(await desk.published(order))["payment-received"] <= 1


async def test_replicas_share_one_pace_and_are_hardly_ever_refused(desk: Desk) -> None:
    limit, orders = 40.0, [new_id() for _ in range(160)]
    await desk.sandbox.put("/limits", json={"rate": limit})
    await desk.mood(slow_seconds=0.2)
    retell(desk, provider_rate=limit)
    await desk.place(*orders)
    begun = time.monotonic()
    async with another(desk) as replica, desk.working(replica):
        for order in orders:
            await desk.until(order, "received")
    taken, stats = time.monotonic() - begun, await desk.stats()
    assert (stats["charged"], stats["refused"] / stats["calls"] < 0.02) == (160, True)
    assert taken > len(orders) / (limit * pace.SHARE_OF_LIMIT) - 1


async def test_being_refused_for_the_rate_is_waited_out(desk: Desk) -> None:
    await desk.sandbox.put("/limits", json={"rate": 2, "burst": 1})
    retell(desk, provider_rate=20.0, payment_give_up_seconds=0.01)
    orders = [new_id() for _ in range(4)]
    await desk.place(*orders)
    async with desk.working():
        for order in orders:
            await desk.until(order, "received")
    stats = await desk.stats()
    assert stats["charged"] == 4
    assert stats["refused"] > 0


@pytest.mark.parametrize("whose", ["taken over", "scheduled anew", "withdrawn"])
async def test_a_late_refusal_for_the_rate_leaves_the_first_attempt_of_another_run_alone(
    desk: Desk, whose: str
) -> None:
    """A run that was frozen until its lease had ended hears its 429 when another run is under way, or was."""
    await desk.sandbox.put("/limits", json={"rate": 0.01, "burst": 1})
    await desk.place(*(new_id() for _ in range(2)))
    database = desk.payments.database
    claimed = await database.fetch("UPDATE jobs SET lease = gen_random_uuid(), attempts = 1 RETURNING key, id, lease")
    frozen = {row["key"]: replace(job(row["key"]), id=row["id"], lease=row["lease"]) for row in claimed}
    first, late = frozen.values()
    await jobs.charge(first, desk.context)  # takes all that the limit allows
    change = {
        "taken over": "UPDATE jobs SET lease = gen_random_uuid() WHERE id = $1",
        "scheduled anew": "UPDATE jobs SET lease = NULL WHERE id = $1",
        "withdrawn": "DELETE FROM jobs WHERE id = $1",
    }
    await database.fetch(change[whose], late.id)
    with pytest.raises(LeaseLost):
        await jobs.charge(late, desk.context)
    assert (await desk.view(late.key))["first_attempt_at"] is not None


async def test_a_refusal_for_the_rate_pauses_all_replicas_though_its_order_was_cancelled_meanwhile(desk: Desk) -> None:
    await desk.sandbox.put("/limits", json={"rate": 0.01, "burst": 1})
    retell(desk, provider_rate=20.0)
    first, late = new_id(), new_id()
    await desk.place(first, late)
    await jobs.charge(job(first), desk.context)  # takes all that the limit allows
    await desk.payments.database.fetch("DELETE FROM jobs WHERE key = $1", late)
    with pytest.raises(LeaseLost):
        await jobs.charge(job(late), desk.context)
    assert await desk.payments.database.fetch("SELECT FROM pace WHERE held_until > now() + interval '5 seconds'")


async def test_a_request_the_provider_will_never_accept_fails_and_is_voided(desk: Desk) -> None:
    order = new_id()
    _, data = placed(order)
    await desk.payments.feed((PLACED, data | {"total": AMOUNT | {"amount": 0}}))
    async with desk.working():
        view = await desk.until(order, "voided")
    assert "refused the request: 422 invalid" in view["reason"]
    assert await desk.published(order) == ["payment-failed", "payment-voided"]


@asynccontextmanager
async def another(desk: Desk) -> AsyncIterator[Context[Settings]]:
    """A second replica: its own connections to the same database."""
    async with desk.payments.database.reading() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        url = connection.engine.url
    database = Database(f"postgresql://{url.username}:{url.password}@{url.host}:{url.port}/{name}", "payments")
    context = Context(desk.context.settings, database)
    yield context
    await context.close()


async def until_called(desk: Desk, times: int) -> None:
    async def is_called() -> bool:
        return bool((await desk.stats())["calls"] >= times)

    await eventually(is_called, 10, what=f"{times} calls")
