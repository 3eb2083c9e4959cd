"""Adds to carts: what comes at the same moment is written together."""

from collections.abc import Sequence

from backbone.decision import Decision, fold
from backbone.http import Problem
from backbone.http.problems import invalid
from backbone.storage.database import Tx
from backbone.storage.group_commit import PendingCommand
from services.carts import decisions, store
from services.carts.decisions import Addition, Cart, Full, UnderWay


async def write(tx: Tx, commands: Sequence[PendingCommand[Addition]]) -> None:
    """Put many items into their carts, each with its event. Raises Problem for one that cannot be: it fails alone."""

    def decide(cart: Cart | None, command: PendingCommand[Addition]) -> Decision[Cart] | None:
        return _add(cart, command.item, tx) if cart else None

    carts = await store.begin_all(tx, (each.item.cart for each in commands))
    decided = fold(carts, commands, lambda each: each.item.cart, decide)
    for cart, each, decision in decided:
        tx.apply(decision, key=cart, cause=each.cause)
    await store.save_all(tx, decided.changed.values())


def _add(cart: Cart, addition: Addition, tx: Tx) -> Decision[Cart]:
    if not addition.caller.may_touch(cart.customer.id if cart.customer else None):
        raise unknown(cart.id)
    if addition.caller.only is not None and cart.customer is None and addition.customer is None:
        raise invalid([{"field": "customer", "message": "is needed, so that nobody else gets at the cart"}])
    try:
        return decisions.add(cart, addition, tx.now)
    except Full as full:
        raise too_full(full) from None
    except UnderWay as under_way:
        raise being_ordered(under_way) from None


def too_full(full: Full) -> Problem:
    """Refuse to have more in a cart than an order could hold."""
    return Problem(409, "Cart is full", str(full))


def being_ordered(under_way: UnderWay) -> Problem:
    """Refuse to change a cart of which an order is being made."""
    return Problem(409, "Checkout under way", str(under_way), headers={"Retry-After": "1"})


def unknown(cart: str) -> Problem:
    """Say that there is no such cart, also of one that is somebody else's."""
    return Problem(404, "No such cart", f"There is no cart {cart}.")
