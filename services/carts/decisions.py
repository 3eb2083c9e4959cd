"""Decides what becomes of a cart.

    open ──► checking out ──► placed: empty and open, in its next version
      ▲            │
      └────────────┴────────► refused: open again as it was, in its next version

What is in a cart does not change while it is checked out: what is ordered is what was there, whatever is tried again.
Each version is ordered once at most: cart and version are what orders knows it by.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal, Start
from backbone.identity.caller import NOBODY, Caller
from services.carts.events import CartCheckedOut, Customer, ItemAddedToCart, ItemRemovedFromCart, Line

PLACE = "place"
"""The job that has orders make an order of a cart."""
# As orders has them: more could not be ordered.
MOST_LINES = 50
MOST_OF_ONE = 1000


class Progress(StrEnum):
    """Names how far a checkout is."""

    PLACING = "placing"
    PLACED = "placed"
    REFUSED = "refused"


class Objection(msgspec.Struct, frozen=True):
    """Says what is wrong with a field of the order."""

    field: str
    message: str


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """Holds a cart's last checkout: the `order` once it is placed, and why there is none once it is refused."""

    version: int
    status: Progress
    at: datetime
    order: str | None = None
    reason: str | None = None
    errors: tuple[Objection, ...] = ()


class Cart(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what somebody is about to order."""

    id: str
    changed_at: datetime
    version: int = 1
    lines: tuple[Line, ...] = ()
    customer: Customer | None = None
    checkout: Checkout | None = None

    @property
    def is_under_way(self) -> bool:
        """Tell whether an order is being made of it."""
        return self.checkout is not None and self.checkout.status is Progress.PLACING


class Addition(msgspec.Struct, frozen=True):
    """Asks for so many of an item in a cart, and names the customer where the client does; `caller` is who asks."""

    cart: str
    item: str
    quantity: int
    customer: Customer | None = None
    caller: Caller = NOBODY


class Terms(msgspec.Struct, frozen=True):
    """Holds what an order needs beside what is in the cart; `whose` is the id of whom the address is sealed for."""

    currency: str
    fulfilment: str
    address: str | None
    whose: str | None
    customer: Customer | None = None


class UnderWay(Refusal):
    """The cart is being checked out."""

    def __init__(self) -> None:
        super().__init__("An order is being made of the cart. Try again when that is done; GET the cart says so.")


class Full(Refusal):
    """No order could hold as much."""


class NotThere(Refusal):
    """The cart has no such item."""


class Empty(Refusal):
    """There is nothing to order."""


class NoCustomer(Refusal):
    """Nobody has said whose cart it is."""


class OtherCustomer(Refusal):
    """The cart is not, or no longer, that of the customer for whom the address is sealed."""


def add(cart: Cart, addition: Addition, now: datetime) -> Decision[Cart]:
    """Put an item into the cart. Raises UnderWay, and Full when no order could hold as much."""
    if cart.is_under_way:
        raise UnderWay
    held = {line.item: line.quantity for line in cart.lines}
    held[addition.item] = held.get(addition.item, 0) + addition.quantity
    if len(held) > MOST_LINES:
        raise Full(f"There are {MOST_LINES} different items in the cart, as many as an order can have.")
    if held[addition.item] > MOST_OF_ONE:
        raise Full(f"That would be {held[addition.item]} of {addition.item}; an order can have {MOST_OF_ONE}.")
    lines = tuple(Line(item, quantity) for item, quantity in held.items())
    after = replace(cart, lines=lines, customer=addition.customer or cart.customer, changed_at=now)
    added = ItemAddedToCart(
        cart=cart.id,
        version=cart.version,
        item=addition.item,
        quantity=addition.quantity,
        lines=lines,
        customer=after.customer,
    )
    return Decision(after, events=(added,))


def remove(cart: Cart, item: str, now: datetime) -> Decision[Cart]:
    """Take an item out of the cart, all of it. Raises UnderWay and NotThere."""
    if cart.is_under_way:
        raise UnderWay
    quantity = sum(line.quantity for line in cart.lines if line.item == item)
    if not quantity:
        raise NotThere(f"There is no {item} in the cart.")
    lines = tuple(line for line in cart.lines if line.item != item)
    removed = ItemRemovedFromCart(cart=cart.id, version=cart.version, item=item, quantity=quantity, lines=lines)
    return Decision(replace(cart, lines=lines, changed_at=now), events=(removed,))


def set_quantity(cart: Cart, item: str, quantity: int, now: datetime) -> Decision[Cart]:
    """Have so many of an item in the cart; 0 is none. Raises UnderWay, and Full when no order could hold as much.

    Fewer than there were are told as all of them taken out, and so many put in.
    """
    if cart.is_under_way:
        raise UnderWay
    held = sum(line.quantity for line in cart.lines if line.item == item)
    if quantity == held:
        return Decision(cart)
    if quantity > held:
        return add(cart, Addition(cart.id, item, quantity - held), now)
    removed = remove(cart, item, now)
    if not quantity:
        return removed
    lines = tuple(Line(item, quantity) if line.item == item else line for line in cart.lines)
    added = ItemAddedToCart(
        cart=cart.id, version=cart.version, item=item, quantity=quantity, lines=lines, customer=cart.customer
    )
    return Decision(replace(cart, lines=lines, changed_at=now), events=(*removed.events, added))


def check_out(cart: Cart, terms: Terms, now: datetime) -> Decision[Cart]:
    """Have an order made of the cart; again, while that is under way, changes nothing.

    Raises Empty, NoCustomer and OtherCustomer.
    """
    if cart.is_under_way:
        return Decision(cart)
    if not cart.lines:
        raise Empty(_nothing_left(cart))
    customer = terms.customer or cart.customer
    if customer is None:
        raise NoCustomer("is needed: nobody has said yet whose cart it is")
    if customer.id != terms.whose:
        raise OtherCustomer("The cart has just got another customer. Look whose it is, and check it out again.")
    checkout = Checkout(version=cart.version, status=Progress.PLACING, at=now)
    after = replace(cart, customer=customer, checkout=checkout, changed_at=now)
    wanted = {"version": cart.version, "order": _order(after, customer, terms)}
    return Decision(after, start=(Start(PLACE, data=wanted),))


def placed(cart: Cart, version: int, order: str, now: datetime) -> Decision[Cart] | None:
    """Empty the cart, of which there is an order now. None: that was known."""
    if not _is_placing(cart, version) or cart.customer is None:
        return None
    checked_out = CartCheckedOut(cart=cart.id, version=version, order=order, customer=cart.customer, lines=cart.lines)
    done = Checkout(version=version, status=Progress.PLACED, at=now, order=order)
    return Decision(replace(cart, version=version + 1, lines=(), checkout=done, changed_at=now), events=(checked_out,))


def refused(
    cart: Cart, version: int, reason: str, errors: tuple[Objection, ...], now: datetime
) -> Decision[Cart] | None:
    """Open the cart again, with all that is in it: there will be no order of it as it is. None: that was known."""
    if not _is_placing(cart, version):
        return None
    done = Checkout(version=version, status=Progress.REFUSED, at=now, reason=reason, errors=errors)
    return Decision(replace(cart, version=version + 1, checkout=done, changed_at=now))


def _is_placing(cart: Cart, version: int) -> bool:
    return cart.is_under_way and cart.version == version


def _nothing_left(cart: Cart) -> str:
    last = cart.checkout
    return (
        f"What was in the cart is the order {last.order}." if last and last.order else "There is nothing in the cart."
    )


def _order(cart: Cart, customer: Customer, terms: Terms) -> dict[str, Any]:
    """Make the body with which orders is asked."""
    return {
        "customer": msgspec.to_builtins(customer),
        "currency": terms.currency,
        "fulfilment": terms.fulfilment,
        "address": terms.address,
        "lines": [msgspec.to_builtins(line) for line in cart.lines],
    }
