"""Carts in the whole shop, and the shop without them."""

from backbone.ids import new_id
from tests.system import Shop
from tests.waiting import eventually

ADA = {"id": "ada-cart", "name": "Ada", "email": "ada-cart@example.com"}


async def test_a_cart_becomes_an_order_that_travels_like_any_other(shop: Shop) -> None:
    cart = shop.url("carts", f"/carts/{new_id()}")
    for item in ("margherita", "cola"):
        (await shop.http.post(f"{cart}/items", json={"item": item, "customer": ADA})).raise_for_status()
    terms = {"currency": "GBP", "fulfilment": "delivery", "address": "1 Mill Lane"}
    (await shop.http.post(f"{cart}/checkout", json=terms)).raise_for_status()

    async def placed() -> str | None:
        order: str | None = (await shop.http.get(cart)).json()["checkout"]["order"]
        return order

    order = await eventually(placed, what="the cart has its order")
    document = await shop.complete(order)
    assert [(line["item"], line["quantity"]) for line in document["lines"]] == [("margherita", 1), ("cola", 1)]
    assert document["customer"] == ADA


async def test_an_order_needs_no_carts(shop: Shop) -> None:
    async with shop.without("carts"):
        await shop.complete(await shop.place({"margherita": 1}))
