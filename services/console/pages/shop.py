"""Shows the menu, and puts what is on it into the cart."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node
from markupsafe import Markup

from backbone.ids import new_id
from services.console import buying
from services.console.answering import refused_with, whole
from services.console.asking import Ask, Refused, at
from services.console.buying import BUYS
from services.console.elements import OVER, WAITS, WRONG, address, command, field, live, mark, money, more, notice
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/shop", "Menu", "Order", *BUYS)


@pages.page("/shop", open_to_all=True)
async def shop(ask: Ask) -> Page:
    """Shows what there is, to everybody: a menu hangs in the window."""
    where = address("/live/shop/menu", {"after": ask.query.get("after")})
    shown, bar = await asyncio.gather(_menu_or_why_not(ask), _bar(ask))
    hangs = notice(str(shown), WRONG) if isinstance(shown, Refused) else shown
    body = [
        None if ask.session else h.p["To order, ", h.a(href=address("/login", {"to": "/shop"}))["log in"], "."],
        # Who is not logged in follows nothing; the menu is there all the same.
        live(where, hangs) if ask.session else hangs,
        bar,
    ]
    return Page("Menu", body, _says(ask), shown.status if isinstance(shown, Refused) else 200)


async def _menu_or_why_not(ask: Ask) -> Node | Refused:
    """Return the menu, or why it cannot be shown: what is in the cart is there all the same."""
    try:
        return await menu(ask)
    except Refused as refused:
        return refused


@pages.part("/shop/menu")
async def menu(ask: Ask) -> Node:
    """Shows the menu by category, what is baked first."""
    page = await buying.menu(ask, ask.query.get("after"))
    found = page["items"]
    drawn = await buying.pictures(ask, found)
    if not found:
        says = f"curl {ask.services.address('orders')}/menu"
        return h.div(".empty")["Here is what can be ordered, once the menu has anything.", command(says)]
    rooms: dict[str, list[Node]] = {}
    for item in sorted(found, key=lambda each: not each["baked"]):
        rooms.setdefault(item["category"] or "more", []).append(_card(ask, item, drawn[item["item"]]))
    listed = [[h.h2[room.capitalize()], h.ul(".menu")[dishes]] for room, dishes in rooms.items()]
    return [*listed, more(len(found), None, "/shop", ask.query, page["next"])]


def _card(ask: Ask, item: Mapping[str, Any], picture: Markup) -> Node:
    return h.li(class_="dish gone" if item["sold_out"] else "dish", id=f"item-{item['item']}")[
        h.div(".picture")[picture],
        h.div(".words")[
            h.h3[item["name"]],
            item["description"] and h.p(".soft")[item["description"]],
            h.p(".price")[money(item["unit_price"]), " ", _standing(item)],
            _adding(item) if ask.may(*BUYS) and not item["sold_out"] else None,
        ],
    ]


def _standing(item: Mapping[str, Any]) -> Node:
    if item["sold_out"]:
        return mark("sold out", OVER)
    if item["out_of_stock"]:
        return mark("takes longer: we are waiting for it" if item["back_orderable"] else "out of stock", WAITS)
    return None


def _adding(item: Mapping[str, Any]) -> Node:
    return h.form(".inline.add", method="post", action="/shop")[
        h.input(type="hidden", name="item", value=item["item"]),
        h.input(
            type="number",
            name="quantity",
            value="1",
            min="1",
            max="1000",
            required=True,
            aria_label=f"How many of {item['name']}",
        ),
        h.button(".main", type="submit", aria_label=f"Put {item['name']} into the cart")["Add"],
    ]


async def _bar(ask: Ask) -> Node:
    """Tell at the foot of the menu what is in the cart, and what was just added."""
    if not ask.may(*BUYS):
        return None
    try:
        cart = await buying.cart(ask)
    except Refused as refused:  # the menu hangs there all the same
        return notice(str(refused), WRONG)
    pieces = sum(line["quantity"] for line in cart["lines"]) if cart else 0
    if not pieces:
        return None
    added = await _name(ask, ask.query["added"]) if ask.query.get("added") else None
    return h.div(".basket", role="status")[
        h.span[
            f"{added} is in the cart. " if added else None, f"{pieces:,} {'piece' if pieces == 1 else 'pieces'} in all."
        ],
        h.a(".act.main", href="/cart")["To the cart"],
    ]


async def _name(ask: Ask, item: str) -> str:
    """Return what an item is called; where nobody tells, as programs call it."""
    try:
        return (await buying.names(ask, [item]))[item]
    except Refused:
        return item


@pages.act("/shop", *BUYS)
async def add(ask: Ask) -> str | Page:
    """Puts an item into the cart; who is a customer for the first time says first for whom it is."""
    cart = await buying.cart(ask)
    customer = await buying.customer(ask, cart)
    if customer is None:
        wanted = {"item": ask.form.get("item", ""), "quantity": ask.form.get("quantity", "1")}
        return address("/shop/who", wanted)
    try:
        return await _put(ask, cart["id"] if cart else new_id(), None if cart else customer)
    except Refused as refused:
        return refused_with(await shop(ask), refused)


@pages.page("/shop/who", *BUYS)
async def who(ask: Ask) -> Page:
    """Asks whose order it will be, before there is a cart."""
    typed = {**ask.query, **ask.form}
    body = [
        h.p["Once, before your first order: what should we call, and where do we write how it goes?"],
        h.form(method="post", action="/shop/who")[
            (h.input(type="hidden", name=name, value=typed.get(name, "")) for name in ("item", "quantity")),
            field(
                "name",
                "Name",
                typed.get("name", ask.need().name.capitalize()),
                required=True,
                maxlength="200",
                autocomplete="name",
            ),
            field(
                "email",
                "Mail address",
                typed.get("email", ""),
                type="email",
                required=True,
                autocomplete="email",
                placeholder=f"{ask.need().name}@example.com",
            ),
            h.button(".main", type="submit")["Go on"],
        ],
    ]
    return Page("Who orders?", body)


@pages.act("/shop/who", *BUYS)
async def begin(ask: Ask) -> str | Page:
    """Begins a cart for a customer who had none."""
    customer = {"id": ask.need().name, "name": ask.form.get("name", ""), "email": ask.form.get("email", "")}
    try:
        return await _put(ask, new_id(), customer)
    except Refused as refused:
        return refused_with(await who(ask), refused)


async def _put(ask: Ask, cart: str, customer: Mapping[str, str] | None) -> str:
    item = ask.form.get("item", "")
    body = {"item": item, "quantity": whole(ask.form.get("quantity", "1"))}
    await ask.act("POST", "carts", at("/carts/{cart}/items", cart=cart), {**body, **_named(customer)})
    return address("/shop", {"added": item}) + f"#item-{item}"


def _named(customer: Mapping[str, str] | None) -> dict[str, Any]:
    return {"customer": {each: customer[each] for each in ("id", "name", "email")}} if customer else {}


def _says(ask: Ask) -> tuple[str, ...]:
    return f"curl {ask.services.address('orders')}/menu", "./sliceline order margherita:2 cola"
