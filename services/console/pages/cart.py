"""Shows the cart of whoever looks, and has an order made of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console import buying
from services.console.answering import refused_with, whole
from services.console.asking import Ask, Refused, at
from services.console.buying import BUYS
from services.console.elements import WELL, WRONG, button, curl, field, live, money, notice, row, table
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/cart", "Cart", "Order", *BUYS)
Cart = Mapping[str, Any]
PLACING_SECONDS = 3.0
"""How long a checkout is waited for. A longer one is shown as under way."""


@pages.page("/cart", *BUYS)
async def cart(ask: Ask) -> Page:
    """Shows what is in the cart and what it costs, and the way to the till."""
    found = await buying.cart(ask)
    says = _says(ask, found)
    if found is None or not found["lines"]:
        empty = h.div(".empty")["Here is what you are about to order. ", h.a(href="/shop")["To the menu"]]
        return Page("Cart", [_last_order(found), empty], says)
    if _status(found) == "placing":
        return Page("Cart", live("/live/cart/placing", await placing(ask)), says)
    items = await buying.items(ask, (line["item"] for line in found["lines"]))
    return Page("Cart", [_refusal(found), _lines(found, items), await _till(ask, found, items)], says)


@pages.part("/cart/placing", *BUYS, personal=True)
async def placing(ask: Ask) -> Node:
    """Shows how far the checkout is."""
    found = await buying.cart(ask)
    if found and _status(found) == "placing":
        return notice("Your order is being placed. This takes a moment.")
    return [_last_order(found), _refusal(found), h.p[h.a(href="/cart")["To the cart"]]]


def _last_order(found: Cart | None) -> Node:
    if found is None or _status(found) != "placed":
        return None
    to = at("/my-orders/{order}", order=found["checkout"]["order"])
    return notice(["What was in the cart is ordered. ", h.a(href=to)["Follow your order"]], WELL)


def _refusal(found: Cart | None) -> Node:
    """Say why there is no order of what is in the cart, until the cart is another."""
    if found is None or _status(found) != "refused" or found["changed_at"] != found["checkout"]["at"]:
        return None
    checkout = found["checkout"]
    wrong = [f"{_of_line(found, each['field'])} {each['message']}" for each in checkout["errors"]]
    return notice([checkout["reason"], wrong and h.ul[(h.li[each] for each in wrong)]], WRONG)


def _of_line(found: Cart, path: str) -> str:
    """Name the item that a field of the order is about: lines.1.item is that of the second line."""
    kind, _, rest = path.partition(".")
    place = rest.partition(".")[0]
    if kind != "lines" or not place.isdecimal() or int(place) >= len(found["lines"]):
        return path
    return str(found["lines"][int(place)]["item"])


def _lines(found: Cart, items: Mapping[str, Mapping[str, Any]]) -> Node:
    rows = (_line(line, items.get(line["item"])) for line in found["lines"])
    return [
        table(["Item", "How many", "Together"], rows, "", "What is in the cart"),
        h.p(".total")["Together ", h.strong[money(_total(found, items))]],
    ]


def _line(line: Mapping[str, Any], item: Mapping[str, Any] | None) -> Node:
    name, quantity = line["item"], line["quantity"]
    shown = item["name"] if item else name
    price = item["unit_price"] if item else None
    several = {**price, "amount": price["amount"] * quantity} if price else None
    return row(
        [shown, h.br, h.small[f"{money(price)} each" if item else "is not on the menu any more"]],
        h.div(".acts")[
            h.form(".inline", method="post", action="/cart")[
                h.input(type="hidden", name="item", value=name),
                h.input(
                    ".few",
                    type="number",
                    name="quantity",
                    value=quantity,
                    min="0",
                    max="1000",
                    required=True,
                    aria_label=f"How many of {shown}",
                ),
                h.button(type="submit", aria_label=f"Change how many of {shown}")["Change"],
            ],
            button("/cart", "Remove", fields={"item": name, "quantity": "0"}, label=f"Remove {shown}"),
        ],
        money(several),
    )


def _total(found: Cart, items: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    priced = [(items[line["item"]]["unit_price"], line["quantity"]) for line in found["lines"] if line["item"] in items]
    if not priced:
        return None
    return {"amount": sum(price["amount"] * count for price, count in priced), "currency": priced[0][0]["currency"]}


async def _till(ask: Ask, found: Cart, items: Mapping[str, Mapping[str, Any]]) -> Node:
    typed = {"fulfilment": "delivery", "address": await buying.last_address(ask), **ask.form}
    total = _total(found, items)
    customer = found["customer"]
    return h.form(".panel.till", method="post", action="/cart/checkout")[
        h.h2["Order"],
        customer and h.p[f"For {customer['name']}, {customer['email']}."],
        # The same form sent twice is one order; another order takes another form.
        h.input(type="hidden", name="key", value=new_id()),
        h.input(type="hidden", name="cart", value=found["id"]),
        h.input(type="hidden", name="currency", value=total["currency"] if total else ""),
        h.fieldset[
            h.legend["How do you get it?"],
            _way("delivery", "Bring it to me", typed["fulfilment"]),
            _way("collection", "I collect it", typed["fulfilment"]),
        ],
        field(
            "address",
            "Address",
            typed["address"],
            maxlength="500",
            autocomplete="street-address",
            help_text="For delivery alone.",
        ),
        h.button(".main.big", type="submit")[f"Order for {money(total)}"],
    ]


def _way(value: str, text: str, chosen: str) -> Node:
    return h.label(".way")[h.input(type="radio", name="fulfilment", value=value, checked=value == chosen), " ", text]


@pages.act("/cart", *BUYS)
async def change(ask: Ask) -> str | Page:
    """Has so many of an item in the cart; none takes it out."""
    found = await buying.cart(ask)
    if found is None:
        return "/cart"
    where = at("/carts/{cart}/items/{item}", cart=found["id"], item=ask.form.get("item", ""))
    try:
        await ask.act("PUT", "carts", where, {"quantity": whole(ask.form.get("quantity", ""))})
    except Refused as refused:
        return refused_with(await cart(ask), refused)
    return "/cart"


@pages.act("/cart/checkout", *BUYS)
async def check_out(ask: Ask) -> str | Page:
    """Orders what is in the cart, and goes on to the order as soon as there is one."""
    name, form = ask.form.get("cart", ""), ask.form
    delivered = form.get("fulfilment") != "collection"
    body = {
        "currency": form.get("currency", ""),
        "fulfilment": form.get("fulfilment", "delivery"),
        "address": (form.get("address") or None) if delivered else None,
    }
    where = at("/carts/{cart}/checkout", cart=name)
    try:
        begun = await ask.act("POST", "carts", where, body, key=form.get("key"))
    except Refused as refused:
        return refused_with(await cart(ask), refused)
    return await _outcome(ask, name, begun["version"])


async def _outcome(ask: Ask, name: str, version: int) -> str:
    """Wait for a moment, and say where to go on: at the order once it is there."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PLACING_SECONDS
    while loop.time() < until:
        checkout = (await ask.get("carts", at("/carts/{cart}", cart=name)))["checkout"]
        if checkout["version"] >= version and checkout["status"] != "placing":
            return at("/my-orders/{order}", order=checkout["order"]) if checkout["order"] else "/cart"
        await asyncio.sleep(0.1)
    return "/cart"


def _status(found: Cart) -> str | None:
    return found["checkout"]["status"] if found["checkout"] else None


def _says(ask: Ask, found: Cart | None) -> tuple[str, ...]:
    carts = ask.services.address("carts")
    looked = curl("customer", f"{carts}/carts")
    if found is None:
        return (looked,)
    terms = {"currency": "GBP", "fulfilment": "collection"}
    return looked, curl("customer", f"{carts}/carts/{found['id']}/checkout", terms)
