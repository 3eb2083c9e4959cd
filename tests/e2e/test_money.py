"""The provider in every mood: who gets a pizza pays once, who gets none pays nothing."""

import asyncio
import time
from collections import Counter

import pytest

from tests.invariants import assert_sound
from tests.system import Shop
from tests.waiting import eventually

ORDERS = 100
RATE = 5


async def test_a_declined_payment_brings_the_stock_back(shop: Shop) -> None:
    before = await shop.stock("gorgonzola")
    await shop.moods(declining=True)

    order = await shop.place({"quattro-formaggi": 2})
    document = await shop.wait_for_status(order, "rejected")

    assert "declined" in document["reason"]
    await assert_sound(shop)
    assert (await shop.stock("gorgonzola"))["available"] == before["available"]
    assert [entry["kind"] for entry in await shop.ledger(order)] == ["decline"]


async def test_one_customer_is_declined_and_the_others_are_not(shop: Shop) -> None:
    await shop.moods(decline_customers=["broke"])

    unlucky = await shop.place({"water": 1}, customer="broke")
    lucky = await shop.place({"water": 1})

    await shop.wait_for_status(unlucky, "rejected")
    await shop.wait_for_status(lucky, "confirmed")


async def test_charged_and_then_no_answer_is_found_out_and_not_charged_again(shop: Shop) -> None:
    await shop.moods(timeout_after_charging=True, hang_seconds=0.3)

    orders = [await shop.place({"water": 1}) for _ in range(5)]

    await shop.wait_for_statuses(orders, "confirmed")
    await assert_sound(shop)
    for order in orders:
        assert [entry["kind"] for entry in await shop.ledger(order)] == ["charge"]


async def test_a_provider_out_of_order_only_delays(shop: Shop) -> None:
    await shop.moods(failing=True)
    order = await shop.place({"water": 1})
    await _failed(shop, 1)
    assert (await shop.order(order))["status"] == "placed"
    await shop.moods()

    await shop.wait_for_status(order, "confirmed")


async def test_a_provider_that_fails_half_of_the_calls_loses_and_doubles_nothing(shop: Shop) -> None:
    before = await _failures(shop)
    await shop.moods(fail_rate=0.5)

    orders = [await shop.place({"water": 1}) for _ in range(20)]
    await _failed(shop, before + 10)
    await shop.moods()

    await shop.wait_for_statuses(orders, "confirmed")
    await assert_sound(shop)


async def test_given_up_while_the_provider_is_silent_the_order_is_rejected_and_never_charged(shop: Shop) -> None:
    async with shop.told("payments", payment_give_up_seconds="0.5"):
        await shop.moods(failing=True)
        order = await shop.place({"water": 1})

        document = await shop.wait_for_status(order, "rejected")

        assert "in time" in document["reason"]
        await shop.moods()
        await assert_sound(shop)
    assert [entry["kind"] for entry in await shop.ledger(order)] == ["void"]


async def test_given_up_though_it_was_charged_the_money_comes_back(shop: Shop) -> None:
    async with shop.told("payments", payment_give_up_seconds="0.5"):
        await shop.moods(timeout_after_charging=True, hang_seconds=3600)
        order = await shop.place({"water": 1})

        async def charged() -> bool:
            return bool(await shop.ledger(order))

        await eventually(charged, what="the charge")
        await shop.system["provider"].kill()  # the answer never comes, nor does any other
        await shop.wait_for_status(order, "rejected")
        await shop.system["provider"].start()
        await assert_sound(shop)
    assert [entry["kind"] for entry in await shop.ledger(order)] == ["charge", "void", "refund"]


@pytest.mark.long
async def test_a_hundred_orders_at_five_payments_a_second(shop: Shop) -> None:
    """All are answered before the fiftieth is paid; each is paid once; under 2% of the calls are refused."""
    await shop.limit_provider(RATE)
    async with shop.told("payments", provider_rate=str(RATE)):
        before = await shop.get("provider", "/stats")
        orders = await asyncio.gather(*(shop.place({"cola": 1}, fulfilment="collection") for _ in range(ORDERS)))
        paid_when_all_answered = (await shop.get("provider", "/stats"))["charged"] - before["charged"]
        started = time.monotonic()

        outcome = await shop.wait_for_statuses(orders, "confirmed", within=180)

        took = time.monotonic() - started
        after = await shop.get("provider", "/stats")
    calls, refused = (after[name] - before[name] for name in ("calls", "refused"))
    assert paid_when_all_answered < 50
    assert outcome == Counter(confirmed=ORDERS)
    assert after["charged"] - before["charged"] == ORDERS
    assert refused < 0.02 * calls
    assert took < 2 * ORDERS / RATE, "the limit is made use of"
    await shop.system.robot()
    await shop.wait_for_statuses(orders, "completed")
    await assert_sound(shop)


async def _failed(shop: Shop, calls: int) -> None:
    """Return when the provider has failed so many calls."""

    async def failed() -> bool:
        return await _failures(shop) >= calls

    await eventually(failed, what=f"{calls} calls that failed")


async def _failures(shop: Shop) -> int:
    return int((await shop.get("provider", "/stats"))["failed"])
