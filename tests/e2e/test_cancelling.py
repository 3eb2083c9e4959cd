"""Cancelling at every moment: it goes through whole, or it is refused and nothing has changed."""

import asyncio
from collections import Counter

import pytest

from tests.invariants import assert_sound
from tests.system import Shop
from tests.waiting import eventually


@pytest.fixture(autouse=True)
async def _enough(shop: Shop) -> None:
    await shop.set_stock("mcguffin", 200)


async def test_before_confirmation_it_is_cancelled_at_once(shop: Shop) -> None:
    async with shop.without("payments"):
        order = await shop.place({"mcguffin": 1})
        answer = await shop.cancel(order)

        assert answer.status_code == 202
        assert answer.json()["status"] == "cancelled"
    await assert_sound(shop)
    assert [entry["kind"] for entry in await shop.ledger(order)] == [], "nothing was ever asked of the provider"


async def test_once_confirmed_the_kitchen_agrees_while_nobody_has_started(shop: Shop) -> None:
    before = await shop.stock("salami")
    order = await shop.place({"pepperoni": 1})
    await shop.wait_for_status(order, "confirmed")

    answer = await shop.cancel(order)
    assert answer.status_code == 202

    document = await shop.wait_for_status(order, "cancelled")
    assert "sliceline.kitchen.ticket-cancelled.v1" in _events(document)
    await assert_sound(shop)
    assert (await shop.push(order, "prepared")).status_code == 409
    assert (await shop.stock("salami"))["available"] == before["available"]
    assert [entry["kind"] for entry in await shop.ledger(order)] == ["charge", "void", "refund"]


async def test_where_nothing_is_baked_delivery_agrees(shop: Shop) -> None:
    order = await shop.place({"water": 1}, fulfilment="collection", address=None)
    await shop.wait_for_status(order, "confirmed")

    await _ready_for_the_way(shop, order)
    await shop.cancel(order)

    document = await shop.wait_for_status(order, "cancelled")
    assert "sliceline.delivery.delivery-cancelled.v1" in _events(document)
    assert (await shop.push(order, "collected")).status_code == 409


async def test_asking_twice_is_asking_once(shop: Shop) -> None:
    order = await shop.place({"water": 1})
    await shop.wait_for_status(order, "confirmed")

    answers = [await shop.cancel(order), await shop.cancel(order)]
    await shop.wait_for_status(order, "cancelled")
    answers.append(await shop.cancel(order))

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    await assert_sound(shop)


async def test_after_the_first_button_it_is_too_late_at_every_step(shop: Shop) -> None:
    delivered = await shop.place({"hawaiian": 1})
    collected = await shop.place({"hawaiian": 1}, fulfilment="collection", address=None)

    for button, status in (("prepared", "preparing"), ("baked", "baked"), ("dispatched", "dispatched")):
        await _too_late_after(shop, delivered, button, status)
    await _too_late_after(shop, delivered, "delivered", "completed")
    await shop.press(collected, "prepared")
    await _too_late_after(shop, collected, "baked", "ready")
    await _too_late_after(shop, collected, "collected", "completed")
    await assert_sound(shop)


async def test_what_was_rejected_cannot_be_cancelled(shop: Shop) -> None:
    await shop.moods(declining=True)
    order = await shop.place({"water": 1})
    await shop.wait_for_status(order, "rejected")

    assert (await shop.cancel(order)).status_code == 409


async def test_the_kitchen_has_started_but_orders_does_not_know_yet(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    await _ticket_is_there(shop, order)

    # Its relay sleeps while the button is pressed: what the kitchen knows and orders does not.
    async with shop.database("kitchen") as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sliceline.relay'))")
        assert (await shop.push(order, "prepared")).status_code == 200
        assert (await shop.cancel(order)).json()["status"] == "cancelling"

    document = await shop.wait_for_status(order, "preparing")
    assert document["reason"] is None
    await shop.press(order, "baked", "dispatched", "delivered")
    document = await shop.wait_for_status(order, "completed")
    assert "sliceline.kitchen.cancellation-refused.v1" in _events(document)
    await assert_sound(shop)


async def test_racing_with_the_kitchens_button_both_or_neither(shop: Shop) -> None:
    orders = [await shop.place({"margherita": 1}) for _ in range(30)]
    await shop.wait_for_statuses(orders, "confirmed")
    for order in orders:
        await _ticket_is_there(shop, order)

    await asyncio.gather(*(_race(shop, order, turn) for turn, order in enumerate(orders)))

    outcomes = await shop.wait_for_statuses(orders, "preparing", "cancelled")
    assert set(outcomes) == {"preparing", "cancelled"}, "the race went one way only"
    await assert_sound(shop)


async def test_racing_with_the_courier_both_or_neither(shop: Shop) -> None:
    orders = [await shop.place({"cola": 1}) for _ in range(20)]
    await shop.wait_for_statuses(orders, "confirmed")
    for order in orders:
        await _ready_for_the_way(shop, order)

    await asyncio.gather(*(_race(shop, order, turn, "dispatched") for turn, order in enumerate(orders)))

    await shop.wait_for_statuses(orders, "dispatched", "cancelled")
    await assert_sound(shop)


@pytest.mark.parametrize("provider_takes", [0, 0.3])
async def test_racing_with_charge_and_confirmation(shop: Shop, provider_takes: float) -> None:
    await shop.moods(slow_seconds=provider_takes)

    orders = await asyncio.gather(*(_place_and_cancel(shop, wait=0.02 * turn) for turn in range(30)))

    await shop.wait_for_statuses(orders, "cancelled")
    await assert_sound(shop)


async def test_while_the_charge_is_in_flight_the_money_comes_back(shop: Shop) -> None:
    await shop.moods(slow_seconds=1)
    order = await shop.place({"mcguffin": 1})
    await _payment_is(shop, order, "charging")

    await shop.cancel(order)

    await assert_sound(shop)
    kinds = Counter(entry["kind"] for entry in await shop.ledger(order))
    assert kinds["void"] == 1
    assert kinds["charge"] == kinds["refund"]


async def _race(shop: Shop, order: str, turn: int, button: str = "prepared") -> None:
    """Cancel, and press the button at once, or later, up to so late that the cancellation must have won."""

    async def press() -> None:
        await asyncio.sleep(0.0025 * 2 ** (turn % 11))
        await shop.push(order, button)

    await asyncio.gather(shop.cancel(order), press())


async def _place_and_cancel(shop: Shop, wait: float) -> str:
    order = await shop.place({"mcguffin": 1})
    await asyncio.sleep(wait)
    assert (await shop.cancel(order)).status_code == 202
    return order


async def _too_late_after(shop: Shop, order: str, button: str, status: str) -> None:
    await shop.press(order, button)
    await shop.wait_for_status(order, status)
    assert (await shop.cancel(order)).status_code == 409, status


async def _ticket_is_there(shop: Shop, order: str) -> None:
    await _row(shop, "kitchen", "SELECT 1 FROM tickets WHERE order_id = $1", order)


async def _ready_for_the_way(shop: Shop, order: str) -> None:
    await _row(shop, "delivery", "SELECT 1 FROM deliveries WHERE order_id = $1 AND status = 'ready'", order)


async def _payment_is(shop: Shop, order: str, status: str) -> None:
    await _row(shop, "payments", f"SELECT 1 FROM payments WHERE order_id = $1 AND status = '{status}'", order)


async def _row(shop: Shop, service: str, query: str, order: str) -> None:
    async def there() -> bool:
        return bool(await shop.fetch(service, query, order))

    await eventually(there, what=f"{service}: {query} {order}")


def _events(document: dict[str, list[dict[str, str]]]) -> list[str]:
    return [entry["event"] for entry in document["timeline"]]
