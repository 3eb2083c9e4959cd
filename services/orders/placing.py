"""Accepts orders: each is decided in memory, and written with the others of the same moment."""

import time
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import msgspec

from backbone.context import Context
from backbone.http import Answer
from backbone.http.doors import confine
from backbone.http.grouped import GroupedCommand
from backbone.http.problems import invalid
from backbone.identity.caller import Caller
from backbone.ids import new_id
from backbone.storage.database import Database, Tx
from backbone.storage.group_commit import PendingCommand
from backbone.values.amounts import LARGEST_TOTAL
from backbone.values.currencies import in_words
from services.orders import decisions, store
from services.orders.bodies import NewOrder
from services.orders.decisions import Decision, NotForSale, TooDear
from services.orders.menu import MenuItem
from services.orders.order import Basket
from services.orders.settings import Settings
from services.orders.showing import Document, document

MENU_KEPT = 5.0
"""Seconds that the menu is remembered: a change counts at once in the process that made it, so much later in others.

An order that another process takes meanwhile is as if it had been placed a moment earlier.
"""

Menu = Mapping[str, MenuItem]


class _Remembered(msgspec.Struct, frozen=True):
    menu: Menu = {}
    read_at: float = 0.0


_menus: WeakKeyDictionary[Database, _Remembered] = WeakKeyDictionary()


async def decide(body: NewOrder, context: Context[Settings], caller: Caller) -> tuple[Decision, Answer]:
    """Make the order that a sound body amounts to.

    Raises Problem for what is not for sale, not our currency, too much of it, or in somebody else's name. Only then is
    there a data key: who is refused leaves nothing behind.
    """
    confine(caller, body.customer.id)
    currency = context.settings.currency
    if body.currency != currency:
        raise invalid([{"field": "currency", "message": f"must be {currency}"}])
    basket = _priced(body, await _current_menu(context.database.for_queries, currency), currency)
    buyer = body.buyer(await context.sealing.seal_of(body.customer.id))
    decision = decisions.place(new_id(), buyer, basket, context.settings.delay_after, context.database.now())
    return decision, going_on(document(decision.state, decision.entries, (), context.settings.usual))


def _priced(body: NewOrder, menu: Menu, currency: str) -> Basket:
    try:
        return decisions.price(body.items, menu, currency)
    except NotForSale as refused:
        errors = [{"field": f"lines.{line}.item", "message": why} for line, why in refused.lines.items()]
        raise invalid(errors) from None
    except TooDear:
        most = in_words(LARGEST_TOTAL, currency)
        raise invalid([{"field": "lines", "message": f"must not come to more than {most}"}]) from None


def going_on(shown: Document) -> Answer:
    """Make the answer to a command whose work has only begun."""
    return Answer(shown, 202, {"Location": f"/orders/{shown.id}", "Retry-After": "1"})


async def write(tx: Tx, commands: Sequence[PendingCommand[Decision]]) -> None:
    """Write the orders, timelines, events and watches of many commands.

    Orders that are there already are left alone.
    """
    created = await store.add_all(tx, [(each.item, each.cause) for each in commands])
    for each in commands:
        if (order := each.item.state.id) in created:
            tx.apply(each.item, key=order, cause=each.cause)


async def _current_menu(database: Database, currency: str) -> Menu:
    known = _menus.setdefault(database, _Remembered())
    if known.menu and time.monotonic() - known.read_at <= MENU_KEPT:
        return known.menu
    menu = {each.item: each for each in await store.list_menu(database, currency)}
    if _menus.get(database) is known:  # what changed while it was read may not be in it
        _menus[database] = _Remembered(menu, time.monotonic())
    return menu


def forget_menu(database: Database) -> None:
    """Have this process read the menu again before it decides the next order."""
    _menus[database] = _Remembered()


PLACING = GroupedCommand("/orders", NewOrder, decide, write)
