"""Orders that wait for a delivery, through the whole shop: served in the order they came, and paid only then."""

import asyncio
from uuid import uuid4

from tests.invariants import assert_sound
from tests.system import Shop
from tests.waiting import eventually


async def sell(shop: Shop, item: str) -> None:
    """Put an item on the menu for which customers wait, and keep it in stock, with none of it there yet."""
    menu = {"item": item, "name": item, "unit_price": {"amount": 900, "currency": "GBP"}, "baked": False}
    answer = await shop.http.post(shop.url("orders", "/menu"), json=menu | {"back_orderable": True})
    assert answer.status_code == 201, answer.text
    sku = {"sku": item, "on_hand": 0, "threshold": 0, "ceiling": 1000}
    answer = await shop.http.post(shop.url("inventory", "/stock"), json=sku)
    assert answer.status_code == 201, answer.text


async def test_a_hundred_wait_for_sixty_and_ten_of_them_cancel(shop: Shop) -> None:
    item = f"truffle-{uuid4().hex[:6]}"
    await sell(shop, item)
    orders = sorted(await asyncio.gather(*(shop.place({item: 1}, customer=f"{item}-patient") for _ in range(100))))
    await shop.wait_for_statuses(orders, "backordered")
    gone = orders[::10]
    cancelled = asyncio.gather(*(shop.cancel(order) for order in gone))
    await shop.adjust(item, "supplier", change=60)
    await cancelled
    await shop.wait_for_statuses(gone, "cancelled")
    kept = [order for order in orders if order not in gone]
    await shop.wait_for_statuses(kept[:60], "confirmed")
    await assert_sound(shop)
    assert await shop.statuses(kept[60:]) == {"backordered": 30}
    assert [(await shop.stock(item))[count] for count in ("on_hand", "reserved", "available")] == [60, 60, 0]
    mails = [mail["Subject"] for mail in await shop.mails(f"{item}-patient@example.com")]
    assert mails.count("Your order waits for a delivery") == 100


async def test_an_item_that_is_out_of_stock_is_shown_so_until_some_comes(shop: Shop) -> None:
    item = f"tuna-{uuid4().hex[:6]}"
    await sell(shop, item)
    url = shop.url("orders", f"/menu/{item}")

    async def is_short() -> bool:
        return bool((await shop.http.get(url)).json()["out_of_stock"])

    async def is_there() -> bool:
        return not await is_short()

    await eventually(is_short, 20)
    await shop.adjust(item, "supplier", change=1)
    await eventually(is_there, 20)
    await shop.wait_for_status(await shop.place({item: 1}), "confirmed")
    await eventually(is_short, 20)
    await assert_sound(shop)
