"""Knows what a customer who looks at the pages is about to buy: the menu, the cart, and what earlier orders tell."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from markupsafe import Markup

from services.console.asking import Ask, Refused, at

BUYS = ("carts.write.own", "carts.write")
"""The scopes of which one is needed to buy."""
ORDERS = ("orders.read.own", "orders.read")
MOST_OF_THE_MENU = 200
_MOST_KEPT = 2_000
T = TypeVar("T")
_pictures: dict[tuple[str, ...], Markup] = {}
"""Pictures as orders drew them, by all that a picture depends on."""


class Kept(Generic[T]):
    """Keeps for some seconds what is the same for everybody: open pages ask for it again and again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[str, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: str, find: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept under a key, or find it."""
        now = asyncio.get_running_loop().time()
        until, value = self._kept.get(key, (0.0, None))
        if value is not None and now < until:
            return value
        found = await find()
        self._kept = {name: each for name, each in self._kept.items() if now < each[0]}
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = now + self._seconds, found
        return found


_menus: Kept[dict[str, Any]] = Kept(1.0)
_names: Kept[str] = Kept(60.0)


async def menu(ask: Ask, after: str | None = None) -> dict[str, Any]:
    """Return a page of the menu, as many of it as one request gives."""

    async def find() -> dict[str, Any]:
        found: dict[str, Any] = await ask.get("orders", "/menu", limit=MOST_OF_THE_MENU, after=after)
        return found

    return await _menus.get(after or "", find)


async def names(ask: Ask, wanted: Iterable[str]) -> dict[str, str]:
    """Return what these items are called; one that the menu does not have any more is called as programs call it."""

    async def find(item: str) -> str:
        found = await ask.found("orders", at("/menu/{item}", item=item))
        return str(found["name"]) if found else item

    return {item: await _names.get(item, partial(find, item)) for item in dict.fromkeys(wanted)}


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
        if len(_pictures) >= _MOST_KEPT:
            _pictures.clear()
        _pictures[keys[item]] = drawn
    return {item: _pictures.get(key, Markup()) for item, key in keys.items()}


async def cart(ask: Ask) -> Mapping[str, Any] | None:
    """Return the newest cart of whoever looks; None where that one never had any."""
    found = await ask.get("carts", "/carts", customer=ask.need().name, limit=1)
    return found["items"][0] if found["items"] else None


async def last_orders(ask: Ask, most: int) -> list[Mapping[str, Any]]:
    """Return so many of the newest orders of whoever looks."""
    found = await ask.get("orders", "/orders", customer=ask.need().name, limit=most)
    return list(found["items"])


async def customer(ask: Ask, of_cart: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Return whoever looks as customers are named: as the cart has it, or the last order; None where neither does."""
    if of_cart and of_cart["customer"]:
        return dict(of_cart["customer"])
    orders = await last_orders(ask, 1)
    return dict(orders[0]["customer"]) if orders else None


async def last_address(ask: Ask) -> str:
    """Return where the newest order went that was brought to somebody; nothing where none of the last ten was."""
    return next((str(each["address"]) for each in await last_orders(ask, 10) if each["address"]), "")


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
