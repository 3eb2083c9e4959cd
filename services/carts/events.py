"""Declares what carts publishes: whatever happens to a cart."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class Customer(msgspec.Struct, frozen=True):
    """Names whose cart it is, as the client said."""

    id: str
    name: str
    email: str


class Line(msgspec.Struct, frozen=True):
    """Holds so many of one item; an item stands in one line."""

    item: str
    quantity: int


class ItemAddedToCart(Payload, frozen=True, kw_only=True):
    """Tells that an item was put into a cart; `lines` is all that is in it after that."""

    TYPE: ClassVar[str] = "sliceline.carts.item-added-to-cart.v1"
    cart: str
    version: int
    item: str
    quantity: int
    lines: tuple[Line, ...]
    customer: Customer | None


class ItemRemovedFromCart(Payload, frozen=True, kw_only=True):
    """Tells that an item was taken out of a cart; `lines` is all that is in it after that."""

    TYPE: ClassVar[str] = "sliceline.carts.item-removed-from-cart.v1"
    cart: str
    version: int
    item: str
    quantity: int
    lines: tuple[Line, ...]


class CartCheckedOut(Payload, frozen=True, kw_only=True):
    """Tells that what was in a version of a cart has become an order."""

    TYPE: ClassVar[str] = "sliceline.carts.cart-checked-out.v1"
    cart: str
    version: int
    order: str
    customer: Customer
    lines: tuple[Line, ...]


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.carts.acts-recorded.v1"


PUBLISHES = (ItemAddedToCart, ItemRemovedFromCart, CartCheckedOut, ActsRecorded)


class CustomerForgotten(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.customer-forgotten.v1"
    customer_id: str
