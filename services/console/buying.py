"""Knows what a customer who looks at the pages is about to buy: the menu, the cart, and what earlier orders tell."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from services.console.asking import Ask, Refused, at

BUYS = ("carts.write.own", "carts.write")
"""The scopes of which one is needed to buy."""
ORDERS = ("orders.read.own", "orders.read")
MOST_OF_THE_MENU = 200
_MOST_PICTURES = 2_000
_pictures: dict[tuple[str, ...], Markup] = {}
"""Pictures as orders drew them, by all that a picture depends on."""


async def menu(ask: Ask, after: str | None = None) -> dict[str, Any]:
    """Return a page of the menu, as many of it as one request gives."""
    found: dict[str, Any] = await ask.get("orders", "/menu", limit=MOST_OF_THE_MENU, after=after)
    return found


async def items(ask: Ask, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return these items by name; one that the menu does not have any more is left out."""
    wanted = list(dict.fromkeys(names))
    found = await asyncio.gather(*(ask.found("orders", at("/menu/{item}", item=each)) for each in wanted))
    return {name: item for name, item in zip(wanted, found, strict=True) if item is not None}


async def pictures(ask: Ask, shown: Iterable[Mapping[str, Any]]) -> dict[str, Markup]:
    """Return the items' pictures by name, SVG as orders draws it. Each is asked for once."""
    keys = {str(item["item"]): _looks(item) for item in shown}
    missing = [item for item, key in keys.items() if key not in _pictures]
    for item, drawn in zip(missing, await asyncio.gather(*(_drawn(ask, each) for each in missing)), strict=True):
        if len(_pictures) >= _MOST_PICTURES:
            _pictures.clear()
        _pictures[keys[item]] = drawn
    return {item: _pictures.get(key, Markup()) for item, key in keys.items()}


async def cart(ask: Ask) -> Mapping[str, Any] | None:
    """Return the newest cart of whoever looks; None where that one never had any."""
    found = await ask.get("carts", "/carts", customer=ask.need().name, limit=1)
    return found["items"][0] if found["items"] else None


async def last_order(ask: Ask) -> Mapping[str, Any] | None:
    """Return the newest order of whoever looks."""
    found = await ask.get("orders", "/orders", customer=ask.need().name, limit=1)
    return found["items"][0] if found["items"] else None


async def customer(ask: Ask, of_cart: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Return whoever looks as customers are named: as the cart has it, or the last order; None where neither does."""
    if of_cart and of_cart["customer"]:
        return dict(of_cart["customer"])
    order = await last_order(ask)
    return dict(order["customer"]) if order else None


def call_number(order: str) -> str:
    """Return the few letters by which an order is called in the shop: the end of its id, which is drawn by lot."""
    return order[-4:].upper()


def _looks(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item[each]) for each in ("item", "name", "description", "baked"))


async def _drawn(ask: Ask, item: str) -> Markup:
    """Return a picture. The menu can be read without any, so one that fails is none."""
    try:
        return Markup(await ask.get("orders", at("/menu/{item}/picture", item=item)))  # noqa: S704  drawn by orders
    except Refused:
        return Markup()
