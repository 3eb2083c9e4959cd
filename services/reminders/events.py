"""Events that reminders publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class Customer(msgspec.Struct, frozen=True):
    """Names whose cart it is."""

    id: str
    name: str
    email: str


class Line(msgspec.Struct, frozen=True):
    """Holds so many of one item."""

    item: str
    quantity: int


class CartReminderDue(Payload, frozen=True, kw_only=True):
    """Tells that a customer left a cart for long, and should be reminded of what is in it."""

    TYPE: ClassVar[str] = "sliceline.reminders.cart-reminder-due.v1"
    cart: str
    version: int
    customer: Customer
    lines: tuple[Line, ...]


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.reminders.acts-recorded.v1"


PUBLISHES = (CartReminderDue, ActsRecorded)


class ItemAddedToCart(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.carts.item-added-to-cart.v1"
    cart: str
    version: int
    lines: tuple[Line, ...]
    customer: Customer | None


class ItemRemovedFromCart(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.carts.item-removed-from-cart.v1"
    cart: str
    version: int
    lines: tuple[Line, ...]


class CartCheckedOut(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.carts.cart-checked-out.v1"
    cart: str
    version: int
