"""Stock is never promised twice, whoever asks and however many at once."""

import asyncio
import json
from collections import Counter

import pytest

from tests.invariants import assert_sound
from tests.system import Shop


async def test_ninety_nine_in_stock_and_a_hundred_ordered_is_rejected_and_the_stock_untouched(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 99)
    before = await shop.stock("mcguffin")

    order = await shop.place({"mcguffin": 100})
    document = await shop.wait_for_status(order, "rejected")

    assert "mcguffin" in document["reason"]
    assert await shop.stock("mcguffin") == before
    await assert_sound(shop)
    await _nothing_kept(shop, order)


async def test_one_line_that_is_short_takes_nothing_of_the_others(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 1)
    before = await shop.stock("cola")

    order = await shop.place({"cola": 2, "mcguffin": 2})
    await shop.wait_for_status(order, "rejected")

    assert await shop.stock("cola") == before
    await assert_sound(shop)


async def test_no_stock_while_the_charge_is_in_flight_gives_the_money_back(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 0)
    await shop.moods(slow_seconds=1)

    orders = [await shop.place({"mcguffin": 1}) for _ in range(5)]
    await shop.wait_for_statuses(orders, "rejected")

    await assert_sound(shop)
    for order in orders:
        await _nothing_kept(shop, order)


@pytest.mark.long
async def test_three_hundred_at_once_with_stock_for_half_confirm_exactly_that_half(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 150)
    before = await shop.stock("mcguffin")

    orders = await asyncio.gather(*(shop.place({"mcguffin": 1}, fulfilment="collection") for _ in range(300)))
    outcome = await shop.wait_for_statuses(orders, "confirmed", "rejected", within=240)

    assert outcome == Counter(confirmed=150, rejected=150)
    assert (await shop.stock("mcguffin"))["available"] == 0

    # That half also gets what it was promised.
    await shop.system.robot()
    await shop.wait_for_statuses(orders, "completed", "rejected", within=240)
    await assert_sound(shop)
    after = await shop.stock("mcguffin")
    assert (after["on_hand"], after["sold"]) == (before["on_hand"] - 150, before["sold"] + 150)
    assert not [available for available in await _availables(shop) if available < 0], "never a negative count"


async def test_what_was_cancelled_is_there_for_the_next(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 1)
    first = await shop.place({"mcguffin": 1})
    await shop.wait_for_status(first, "confirmed")
    await shop.cancel(first)
    await shop.wait_for_status(first, "cancelled")
    await assert_sound(shop)

    second = await shop.place({"mcguffin": 1})

    await shop.wait_for_status(second, "confirmed")


async def _availables(shop: Shop) -> list[int]:
    changes = shop.journal.events("mcguffin", "sliceline.inventory.stock-level-changed.v1")
    return [json.loads(change.data)["after"]["available"] for change in changes]


async def _nothing_kept(shop: Shop, order: str) -> None:
    kinds = Counter(entry["kind"] for entry in await shop.ledger(order))
    assert kinds["charge"] == kinds["refund"]
