"""Carts and their reminders in the whole shop. That an order needs none, all other tests show: there are none."""

import pytest

from backbone.ids import new_id
from tests.system import Document, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("carts", "reminders")

TERMS = {"currency": "GBP", "fulfilment": "delivery", "address": "1 Mill Lane"}
ADA = {"id": "ada-cart", "name": "Ada", "email": "ada-cart@example.com"}


async def test_a_cart_becomes_an_order_that_travels_like_any_other(shop: Shop) -> None:
    cart = shop.url("carts", f"/carts/{new_id()}")
    for item in ("margherita", "cola"):
        (await shop.http.post(f"{cart}/items", json={"item": item, "customer": ADA})).raise_for_status()
    (await shop.http.post(f"{cart}/checkout", json=TERMS)).raise_for_status()

    async def placed() -> str | None:
        order: str | None = (await shop.http.get(cart)).json()["checkout"]["order"]
        return order

    order = await eventually(placed, what="the cart has its order")
    document = await shop.complete(order)
    assert [(line["item"], line["quantity"]) for line in document["lines"]] == [("margherita", 1), ("cola", 1)]
    assert document["customer"] == ADA


async def test_a_customer_is_reminded_by_mail_of_a_cart_that_was_left(shop: Shop) -> None:
    customer = {**ADA, "email": f"{new_id()}@example.com"}
    async with shop.told("reminders", remind_after_seconds="1"):
        cart = shop.url("carts", f"/carts/{new_id()}")
        (await shop.http.post(f"{cart}/items", json={"item": "cola", "customer": customer})).raise_for_status()

        async def mailed() -> list[Document]:
            return await shop.mails(customer["email"])

        [mail] = await eventually(mailed, what="the reminder comes")
    assert mail["Subject"] == "Your cart is waiting"
