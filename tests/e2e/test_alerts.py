"""One alert per crossing, whatever channel sold or brought the pieces, and the mail that tells the shop."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from tests.books import come_to_rest
from tests.invariants import assert_sound
from tests.system import Shop

SKU = "lemonade"
SHOP = "shop@sliceline.example"

Alert = tuple[str, int, str]
"""Kind, available, channel."""
Raised = Callable[[], Awaitable[list[Alert]]]


@pytest.fixture
async def raised(shop: Shop) -> Raised:
    """Begins with a thousand, far from both lines (threshold 100, ceiling 2000); gives the alerts raised since."""
    await shop.limits(SKU, threshold=100, ceiling=2000)
    await shop.set_stock(SKU, 1000)
    await come_to_rest(shop)
    await shop.journal.read()
    earlier = len(_alerts(shop))

    async def since() -> list[Alert]:
        await assert_sound(shop)
        return _alerts(shop)[earlier:]

    return since


async def test_orders_that_reach_the_threshold_raise_one_alert(shop: Shop, raised: Raised) -> None:
    await shop.set_stock(SKU, 103)

    orders = [await shop.place({SKU: 1}) for _ in range(6)]
    await shop.wait_for_statuses(orders, "confirmed")

    assert await raised() == [("low", 100, "orders")]


@pytest.mark.parametrize("channel", ["staff-override", "shop-till", "another-website"])
async def test_every_channel_that_sells_raises_it(shop: Shop, raised: Raised, channel: str) -> None:
    await shop.adjust(SKU, channel, change=-950)
    await shop.adjust(SKU, channel, change=-10)

    assert await raised() == [("low", 50, channel)]


async def test_a_suppliers_delivery_over_the_ceiling_raises_it(shop: Shop, raised: Raised) -> None:
    await shop.adjust(SKU, "supplier", change=1500)
    await shop.adjust(SKU, "supplier", change=1)

    assert await raised() == [("over", 2500, "supplier")]


async def test_staff_that_moves_the_threshold_raises_it(shop: Shop, raised: Raised) -> None:
    await shop.limits(SKU, threshold=1000)

    assert await raised() == [("low", 1000, "staff")]


async def test_back_and_forth_over_the_threshold_is_one_alert_until_it_is_well_above(
    shop: Shop, raised: Raised
) -> None:
    for available in (100, 101, 100, 109, 99, 110, 100):
        await shop.set_stock(SKU, available)

    assert await raised() == [("low", 100, "count"), ("low", 100, "count")]


async def test_low_and_then_out_are_two_crossings(shop: Shop, raised: Raised) -> None:
    for available in (60, 0, 0):
        await shop.set_stock(SKU, available)

    assert await raised() == [("low", 60, "count"), ("out", 0, "count")]


async def test_concurrent_orders_cross_once(shop: Shop, raised: Raised) -> None:
    await shop.set_stock(SKU, 120)

    orders = await asyncio.gather(*(shop.place({SKU: 1}) for _ in range(40)))
    await shop.wait_for_statuses(orders, "confirmed")

    assert [kind for kind, _, channel in await raised()] == ["low"]


async def test_the_shop_gets_one_mail_for_each_crossing(shop: Shop, raised: Raised) -> None:
    earlier = {mail["MessageID"] for mail in await shop.mails(SHOP)}
    await shop.adjust(SKU, "shop-till", change=-930)
    await come_to_rest(shop)

    mails = [mail for mail in await shop.mails(SHOP) if mail["MessageID"] not in earlier]

    assert [mail["Subject"] for mail in mails] == [f"Low stock: {SKU} (70 available)"]
    assert "shop-till" in mails[0]["Snippet"]
    told = await shop.get("notifications", "/notifications", about=SKU)
    assert [kind for kind, _, _ in await raised()] == ["low"]
    assert mails[0]["MessageID"] == told["items"][0]["message_id"].strip("<>")


async def test_the_customer_gets_one_mail_for_each_turn_of_the_order(shop: Shop) -> None:
    name = uuid4().hex[:8]
    confirmed = await shop.place({"water": 1}, customer=f"c-{name}")
    await shop.wait_for_status(confirmed, "confirmed")
    await shop.cancel(confirmed)
    await shop.moods(declining=True)
    rejected = await shop.place({"water": 1}, customer=f"r-{name}")
    await assert_sound(shop)

    subjects = Counter(mail["Subject"] for mail in await shop.mails(f"c-{name}@example.com"))
    assert subjects == Counter(["Your order is confirmed", "Your order is cancelled"])
    (mail,) = await shop.mails(f"r-{name}@example.com")
    assert mail["Subject"] == "We cannot make your order"
    assert rejected in mail["Snippet"]


def _alerts(shop: Shop) -> list[Alert]:
    events = shop.journal.events(SKU, "sliceline.alerts.stock-alert-raised.v1")
    found = [json.loads(event.data) for event in events]
    return [(alert["kind"], alert["available"], alert["channel"]) for alert in found]
