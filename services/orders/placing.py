"""Accepts orders: each is decided in memory, and written with the others of the same moment."""

import time
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

from backbone.context import Context
from backbone.http import Answer
from backbone.http.grouped import GroupedCommand
from backbone.http.problems import invalid
from backbone.ids import new_id
from backbone.storage.database import Database, Tx
from backbone.storage.group_commit import PendingCommand
from services.orders import decisions, store
from services.orders.bodies import NewOrder
from services.orders.decisions import Decision, UnknownItems
from services.orders.order import Document, MenuItem, document
from services.orders.settings import Settings

MENU_KEPT = 5.0
"""Seconds that the menu is remembered: it changes by migration only, and a new price may take a moment to show."""

Menu = Mapping[str, MenuItem]
_menus: WeakKeyDictionary[Database, tuple[float, Menu]] = WeakKeyDictionary()


async def decide(body: NewOrder, context: Context[Settings]) -> tuple[Decision, Answer]:
    """Make the order that a sound body amounts to.

    Raises Problem for what is not on the menu, or not our currency.
    """
    currency = context.settings.currency
    if body.currency != currency:
        raise invalid([{"field": "currency", "message": f"must be {currency}"}])
    menu = await _current_menu(context.database.for_queries, currency)
    now, limit = context.database.now(), context.settings.delay_after
    try:
        decision = decisions.place(new_id(), body.wanted(), menu, currency, limit, now)
    except UnknownItems as unknown:
        message = "is not on the menu"
        raise invalid([{"field": f"lines.{line}.item", "message": message} for line in unknown.lines]) from None
    return decision, going_on(document(decision.state, decision.entries))


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
    read_at, menu = _menus.get(database, (0.0, {}))
    if not menu or time.monotonic() - read_at > MENU_KEPT:
        menu = {each.item: each for each in await store.list_menu(database, currency)}
        _menus[database] = (time.monotonic(), menu)
    return menu


PLACING = GroupedCommand("/orders", NewOrder, decide, write)
