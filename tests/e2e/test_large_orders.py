"""An order whose events are too large for a topic takes the same way as any other."""

from uuid import uuid4

import pytest

from backbone.events.dataref import LARGEST_INLINE, parse
from tests.e2e.test_backorders import sell
from tests.invariants import assert_sound
from tests.system import Document, Shop
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"
LARGE = {f"sliceline.orders.{each}" for each in ("order-placed.v1", "order-confirmed.v1", "order-confirmed.v2")}


@pytest.mark.beside("ledger")
async def test_an_order_of_five_hundred_lines_travels_from_the_click_to_points_mail_and_archive(shop: Shop) -> None:
    item, customer = f"catering-{uuid4().hex}".ljust(64, "x"), f"caterer-{uuid4().hex[:8]}"
    await sell(shop, item)
    await shop.adjust(item, "supplier", change=500)
    lines = [{"item": item, "quantity": 1}] * 500
    answer = await shop.post_order({**shop.body({}, customer=customer), "lines": lines})
    assert answer.status_code == 202, answer.text
    order = answer.json()["id"]

    document = await shop.complete(order)

    assert len(document["lines"]) == 500
    await eventually(lambda: _sold(shop, item), what="inventory hears that it is completed")
    assert len(await shop.mails(f"{customer}@example.com")) == 1
    await shop.journal.read()
    events = [event for event in shop.journal.events(order) if event.dataref]
    assert {event.type for event in events} == LARGE
    for event in events:
        assert (shop.system.objects / parse(event.dataref or "").name).stat().st_size > LARGEST_INLINE
    kept = await eventually(lambda: _archived(shop, order), what=f"the archive of {order}")
    assert len(kept["data"]["lines"]) == 500
    await eventually(lambda: _points(shop, customer), what=f"points of {customer}")
    await assert_sound(shop)


async def _sold(shop: Shop, item: str) -> bool:
    return bool((await shop.stock(item))["sold"] == 500)


async def _archived(shop: Shop, order: str) -> Document | None:
    found: list[Document] = (await shop.get("ledger", "/events", key=order, type=PLACED))["items"]
    return found[0] if found else None


async def _points(shop: Shop, customer: str) -> bool:
    answer = await shop.http.get(shop.url("loyalty", f"/customers/{customer}/points"))
    return answer.status_code == 200 and answer.json()["points"] == 4500
