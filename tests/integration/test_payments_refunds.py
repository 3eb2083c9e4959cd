"""Refunds against the real sandbox provider, with a real database and the real workers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.ids import new_id
from backbone.jobs.work import Job
from backbone.values.amounts import LARGEST_TOTAL
from services.payments import jobs
from services.payments.service import SERVICE
from services.payments.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import fed
from tests.integration.test_payments import CUSTOMER, Desk, Told, ended, placed, until_called
from tests.integration.test_sandbox import a_provider, client
from tests.waiting import eventually


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


def asked(order: str, amount: int, refund: str | None = None) -> Told:
    return "sliceline.orders.order-refund-requested.v1", {
        "order": order,
        "customer": CUSTOMER,
        "refund": refund or new_id(),
        "amount": {"amount": amount, "currency": "GBP"},
        "reason": "It came cold.",
        "by": "ann",
    }


async def paid(desk: Desk) -> str:
    order = await desk.place()
    async with desk.working():
        await desk.until(order, "received")
    return order


async def settled(desk: Desk, order: str) -> list[tuple[int, str]]:
    """The refunds of an order, amounts with statuses, as soon as none is under way."""

    async def found() -> list[dict[str, Any]] | None:
        refunds: list[dict[str, Any]] = (await desk.view(order))["refunds"]
        return None if "requested" in [each["status"] for each in refunds] else refunds

    return [(each["amount"]["amount"], each["status"]) for each in await eventually(found, 30)]


async def given_back(desk: Desk, order: str) -> list[int]:
    entries = (await desk.sandbox.get("/ledger", params={"reference": order})).json()
    return [entry["amount"]["amount"] for entry in entries if entry["kind"] == "refund"]


async def test_a_part_is_given_back_once_and_told_with_its_name(desk: Desk) -> None:
    order, refund = await paid(desk), new_id()
    record = desk.payments.record(*asked(order, 500, refund))
    async with desk.working():
        await desk.payments.deliver(record, record)
        assert await settled(desk, order) == [(500, "paid")]
    assert await given_back(desk, order) == [500]
    assert (await desk.payments.published(order))[1:] == [
        (
            "sliceline.payments.refund-paid.v1",
            {
                "order": order,
                "refund": refund,
                "amount": {"amount": 500, "currency": "GBP"},
                "reason": "It came cold.",
            },
        )
    ]
    assert (await desk.view(order))["status"] == "received"


async def test_refunds_that_replicas_hear_of_at_once_never_exceed_the_payment(desk: Desk) -> None:
    order = await paid(desk)
    records = [desk.payments.record(*asked(order, 1000)) for _ in range(6)]
    await asyncio.gather(*(desk.payments.insist(record, partition=at) for at, record in enumerate(records)))
    async with desk.working():
        refunds = await settled(desk, order)
    assert sorted(status for _, status in refunds) == ["failed"] * 4 + ["paid"] * 2
    assert await given_back(desk, order) == [1000, 1000]
    published = await desk.published(order)
    assert (published.count("refund-paid"), published.count("refund-failed")) == (2, 4)


async def test_a_refund_whose_answer_is_lost_is_given_back_once(desk: Desk) -> None:
    order = await paid(desk)
    await desk.mood(timeout_after_refunding=True, hang_seconds=0.1)
    await desk.payments.feed(asked(order, 500))
    async with desk.working():
        assert await settled(desk, order) == [(500, "paid")]
    assert (await given_back(desk, order), await desk.published(order)) == ([500], ["payment-received", "refund-paid"])


async def test_a_process_that_dies_while_refunding_gives_back_no_second_time(desk: Desk) -> None:
    order, refund = await paid(desk), new_id()
    await desk.mood(timeout_after_refunding=True, hang_seconds=30)
    await desk.payments.feed(asked(order, 500, refund))
    calls, now = (await desk.stats())["calls"], datetime.now(UTC)
    job = Job(0, "refund", refund, {"order": order}, 1, now, now, Cause(new_id()), None)
    dying = asyncio.create_task(jobs.refund(job, desk.context))
    await until_called(desk, calls + 1)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    await desk.mood()
    async with desk.working():
        assert await settled(desk, order) == [(500, "paid")]
    assert (await given_back(desk, order), await desk.published(order)) == ([500], ["payment-received", "refund-paid"])


async def test_a_provider_out_of_order_for_a_while_only_delays_a_refund(desk: Desk) -> None:
    order = await paid(desk)
    await desk.mood(failing=True)
    await desk.payments.feed(asked(order, 500))
    calls = (await desk.stats())["calls"]
    async with desk.working():
        await until_called(desk, calls + 1)
        await desk.mood()
        assert await settled(desk, order) == [(500, "paid")]


async def test_a_refund_that_the_provider_refuses_fails_and_says_why(desk: Desk) -> None:
    order = await paid(desk)
    await desk.sandbox.delete("/ledger")
    await desk.payments.feed(asked(order, 500))
    async with desk.working():
        assert await settled(desk, order) == [(500, "failed")]
    told = (await desk.payments.published(order))[-1]
    assert told[0] == "sliceline.payments.refund-failed.v1"
    assert "not-charged" in told[1]["why"]


async def test_the_largest_total_is_charged_refunded_and_undone(desk: Desk) -> None:
    order = new_id()
    event_type, data = placed(order)
    await desk.payments.feed((event_type, data | {"total": {"amount": LARGEST_TOTAL, "currency": "GBP"}}))
    async with desk.working():
        await desk.until(order, "received")
        await desk.payments.feed(asked(order, LARGEST_TOTAL - 1))
        assert await settled(desk, order) == [(LARGEST_TOTAL - 1, "paid")]
        await desk.payments.feed(ended(order))
        await desk.until(order, "refunded")
    assert await given_back(desk, order) == [LARGEST_TOTAL - 1, 1]
    [taken] = (await desk.payments.client.get("/takings")).json()["currencies"]
    assert (taken["received"], taken["refunded"], taken["net"]) == (LARGEST_TOTAL, LARGEST_TOTAL, 0)


async def test_an_order_that_ends_gets_back_what_refunds_have_left(desk: Desk) -> None:
    order = await paid(desk)
    await desk.payments.feed(asked(order, 500), ended(order), asked(order, 1))
    async with desk.working():
        await desk.until(order, "refunded")
        assert await settled(desk, order) == [(500, "paid"), (1, "failed")]
    assert await given_back(desk, order) == [500, 1900]
    told = {event_type.split(".")[2]: data for event_type, data in await desk.payments.published(order)}
    assert told["payment-refunded"]["amount"]["amount"] == 1900
    assert told["refund-failed"]["why"] == "The payment is voiding."


async def test_an_order_that_ends_after_all_was_refunded_gives_back_nothing_more(desk: Desk) -> None:
    order = await paid(desk)
    async with desk.working():
        await desk.payments.feed(asked(order, 2400))
        assert await settled(desk, order) == [(2400, "paid")]
        await desk.payments.feed(ended(order))
        await desk.until(order, "refunded")
    assert await given_back(desk, order) == [2400]
    assert (await desk.payments.published(order))[-1][1]["amount"]["amount"] == 0
