"""Who puts something into the cart is told so, whoever else does not answer."""

import time
from typing import Any

import httpx
from htpy import fragment

from services.console.asking import Ask, Services
from services.console.pages import shop
from services.console.session import Session

BEN = Session("ben", frozenset({"carts.write.own"}), "t", time.time() + 600)


def without_orders(request: httpx.Request) -> httpx.Response:
    """Answers as carts does; orders hangs."""
    if request.url.host == "orders":
        raise httpx.ReadTimeout("", request=request)
    cart: dict[str, Any] = {
        "id": "c1",
        "customer": {"id": "ben", "name": "Ben", "email": "ben@example.com"},
        "lines": [{"item": "sunday-special", "quantity": 2}],
    }
    return httpx.Response(200, json={"items": [cart]})


async def test_an_item_is_added_and_said_to_be_in_the_cart_while_the_menu_cannot_be_shown() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(without_orders)) as http:
        services = Services(http, {"carts": "http://carts", "orders": "http://orders"})
        to = await shop.add(Ask(BEN, services, form={"item": "sunday-special", "quantity": "2"}))
        assert to == "/shop?added=sunday-special#item-sunday-special"
        page = await shop.shop(Ask(BEN, services, query={"added": "sunday-special"}))
    said = str(fragment[page.body])
    assert page.status == 503
    assert "sunday-special is in the cart. 2 pieces in all." in said
    assert "orders does not answer" in said
