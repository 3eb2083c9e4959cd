"""Events that orders publishes, and its own narrow view of those that it reads."""

from typing import ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from backbone.events import acts
from backbone.events.payload import Payload

Fulfilment = Literal["delivery", "collection"]


class Money(msgspec.Struct, frozen=True):
    """Holds an `amount` in minor units (pence) of an ISO 4217 currency."""

    amount: int
    currency: str


class Customer(msgspec.Struct, frozen=True):
    """Names who ordered, as given with the order."""

    id: str
    name: str
    email: str


class Line(msgspec.Struct, frozen=True):
    """Holds one line of an order; `baked` tells whether the kitchen has to bake it."""

    item: str
    quantity: int
    unit_price: Money
    baked: bool


# What orders publishes.


class OrderPlaced(Payload, frozen=True):
    """The order was accepted."""

    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    order: str
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: Money
    back_orderable: tuple[str, ...] | UnsetType = UNSET
    """The items for which the customer waits when stock is short; the payment is then due when all is reserved."""


class OrderBackordered(Payload, frozen=True):
    """The order waits for stock; nothing is charged before it is reserved."""

    TYPE: ClassVar[str] = "sliceline.orders.order-backordered.v1"
    order: str
    customer: Customer
    reason: str


class OrderPaymentDue(Payload, frozen=True):
    """All that the order needs is reserved, and the payment that was held back is due."""

    TYPE: ClassVar[str] = "sliceline.orders.order-payment-due.v1"
    order: str
    customer: Customer
    total: Money


class OrderConfirmed(Payload, frozen=True):
    """Stock is reserved and the payment has been received."""

    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: Money


class OrderConfirmedV1(Payload, frozen=True):
    """Tells the same to readers of version 1: `total` is minor units of the shop's currency."""

    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v1"
    order: str
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: int


class OrderRejected(Payload, frozen=True):
    """The order cannot be fulfilled or was not paid."""

    TYPE: ClassVar[str] = "sliceline.orders.order-rejected.v1"
    order: str
    customer: Customer
    reason: str


class OrderCancellationRequested(Payload, frozen=True):
    """A confirmed order shall be cancelled; the kitchen, or delivery where nothing is baked, decides."""

    TYPE: ClassVar[str] = "sliceline.orders.order-cancellation-requested.v1"
    order: str
    customer: Customer
    reason: str


class OrderCancelled(Payload, frozen=True):
    """The order has ended by cancellation."""

    TYPE: ClassVar[str] = "sliceline.orders.order-cancelled.v1"
    order: str
    customer: Customer
    reason: str


class OrderDelayed(Payload, frozen=True):
    """A step takes longer than it should; the order goes on."""

    TYPE: ClassVar[str] = "sliceline.orders.order-delayed.v1"
    order: str
    customer: Customer
    reason: str


class OrderCompleted(Payload, frozen=True):
    """The customer has the order."""

    TYPE: ClassVar[str] = "sliceline.orders.order-completed.v1"
    order: str
    customer_id: str
    total: Money


class OrderRefundRequested(Payload, frozen=True):
    """The staff wants a part of the payment, or all that is left of it, to be given back; payments does it."""

    TYPE: ClassVar[str] = "sliceline.orders.order-refund-requested.v1"
    order: str
    customer: Customer
    refund: str
    amount: Money
    reason: str
    by: str


class OrderRefunded(Payload, frozen=True):
    """A part of the payment, or all that was left of it, was given back; the order itself stays as it is."""

    TYPE: ClassVar[str] = "sliceline.orders.order-refunded.v1"
    order: str
    customer: Customer
    refund: str
    amount: Money
    reason: str


class CustomerForgotten(Payload, frozen=True):
    """The key to all that is sealed of a customer was destroyed; whoever keeps another one destroys that as well."""

    TYPE: ClassVar[str] = "sliceline.orders.customer-forgotten.v1"
    customer_id: str
    by: str


class MenuItemState(msgspec.Struct, frozen=True):
    """Tells how an item on the menu stands; one that is hidden or sold out cannot be ordered."""

    name: str
    unit_price: Money
    baked: bool
    description: str | None
    category: str | None
    hidden: bool
    sold_out: bool
    back_orderable: bool


class MenuItemAdded(Payload, frozen=True):
    """The staff put an item on the menu."""

    TYPE: ClassVar[str] = "sliceline.orders.menu-item-added.v1"
    item: str
    after: MenuItemState
    by: str


class MenuItemChanged(Payload, frozen=True):
    """The staff changed an item that stays on the menu; `changed` names the fields that differ."""

    TYPE: ClassVar[str] = "sliceline.orders.menu-item-changed.v2"
    item: str
    changed: tuple[str, ...]
    before: MenuItemState
    after: MenuItemState
    by: str


class MenuItemRetired(Payload, frozen=True):
    """The staff took an item off the menu for good."""

    TYPE: ClassVar[str] = "sliceline.orders.menu-item-retired.v1"
    item: str
    before: MenuItemState
    by: str


class MenuItemStateV1(MenuItemState, frozen=True):
    """Tells version 1 of it, which has no events of their own for items that come and go."""

    retired: bool


class MenuItemChangedV1(Payload, frozen=True, kw_only=True):
    """Tells all of this to readers of version 1; an item that was added has no `before`."""

    TYPE: ClassVar[str] = "sliceline.orders.menu-item-changed.v1"
    item: str
    before: MenuItemStateV1 | UnsetType = UNSET
    after: MenuItemStateV1
    by: str


# What orders reads. A view with a `why` explains itself in the timeline.


class StockReserved(Payload, frozen=True):
    """All lines are reserved."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-reserved.v1"
    order: str


class Shortage(msgspec.Struct, frozen=True):
    """Tells of one SKU of which there was not enough; `quantity` is what was wanted."""

    sku: str
    quantity: int
    available: int


class StockRejected(Payload, frozen=True):
    """Nothing is reserved, because some SKUs do not suffice."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-rejected.v1"
    order: str
    short: tuple[Shortage, ...]

    @property
    def why(self) -> str:
        """Tell people what was wanted of each SKU and what is there."""
        return _lacking(self.short)


class StockBackordered(Payload, frozen=True):
    """Nothing is reserved yet: the order waits for some SKUs."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-backordered.v1"
    order: str
    short: tuple[Shortage, ...]

    @property
    def why(self) -> str:
        """Tell people what was wanted of each SKU and what is there."""
        return _lacking(self.short)


class BackorderWithdrawn(Payload, frozen=True):
    """The order does not wait for stock any more, because it has ended."""

    TYPE: ClassVar[str] = "sliceline.inventory.backorder-withdrawn.v1"
    order: str


class ItemShortageChanged(Payload, frozen=True):
    """One piece of the item cannot be made for want of the SKU, or can be again."""

    TYPE: ClassVar[str] = "sliceline.inventory.item-shortage-changed.v1"
    item: str
    sku: str
    short: bool


class StockReleased(Payload, frozen=True):
    """The reservation was given back."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-released.v1"
    order: str


class PaymentReceived(Payload, frozen=True):
    """The order is paid."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-received.v1"
    order: str


class PaymentFailed(Payload, frozen=True):
    """The order will not be paid."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-failed.v1"
    order: str
    reason: str | None = None

    @property
    def why(self) -> str:
        """Tell people what the provider said, if it said anything."""
        return self.reason or "The payment failed."


class PaymentRefunded(Payload, frozen=True):
    """The payment was given back."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-refunded.v1"
    order: str


class PaymentVoided(Payload, frozen=True):
    """Nothing was paid, nor ever will be."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-voided.v1"
    order: str


class RefundPaid(Payload, frozen=True):
    """A refund was given back."""

    TYPE: ClassVar[str] = "sliceline.payments.refund-paid.v1"
    order: str
    refund: str
    amount: Money
    reason: str


class RefundFailed(Payload, frozen=True):
    """A refund was not given back, nor will be."""

    TYPE: ClassVar[str] = "sliceline.payments.refund-failed.v1"
    order: str
    refund: str
    amount: Money
    why: str


class PizzaPrepared(Payload, frozen=True):
    """The kitchen has started."""

    TYPE: ClassVar[str] = "sliceline.kitchen.pizza-prepared.v1"
    order: str


class PizzaBaked(Payload, frozen=True):
    """The kitchen is done."""

    TYPE: ClassVar[str] = "sliceline.kitchen.pizza-baked.v1"
    order: str


class TicketCancelled(Payload, frozen=True):
    """The kitchen agreed to a cancellation."""

    TYPE: ClassVar[str] = "sliceline.kitchen.ticket-cancelled.v1"
    order: str


class KitchenRefusedCancellation(Payload, frozen=True):
    """The kitchen refused a cancellation: it had started."""

    TYPE: ClassVar[str] = "sliceline.kitchen.cancellation-refused.v1"
    order: str
    reason: str

    @property
    def why(self) -> str:
        """Tell people why the cancellation was refused."""
        return self.reason


class OrderDispatched(Payload, frozen=True):
    """The courier has left."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-dispatched.v1"
    order: str


class OrderDelivered(Payload, frozen=True):
    """The courier handed the order over."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-delivered.v1"
    order: str


class OrderCollected(Payload, frozen=True):
    """The customer picked the order up."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-collected.v1"
    order: str


class DeliveryCancelled(Payload, frozen=True):
    """Delivery agreed to a cancellation."""

    TYPE: ClassVar[str] = "sliceline.delivery.delivery-cancelled.v1"
    order: str


class DeliveryRefusedCancellation(Payload, frozen=True):
    """Delivery refused a cancellation: it had started."""

    TYPE: ClassVar[str] = "sliceline.delivery.cancellation-refused.v1"
    order: str
    reason: str

    @property
    def why(self) -> str:
        """Tell people why the cancellation was refused."""
        return self.reason


def _lacking(short: tuple[Shortage, ...]) -> str:
    parts = [f"{each.sku} ({each.quantity} wanted, {each.available} available)" for each in short[:10]]
    more = ["and more"] if len(short) > len(parts) else []
    return f"Not enough in stock: {', '.join(parts + more)}."


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.acts-recorded.v1"


PUBLISHES: tuple[type[Payload], ...] = (
    OrderPlaced,
    OrderBackordered,
    OrderPaymentDue,
    OrderConfirmed,
    OrderConfirmedV1,
    OrderRejected,
    OrderCancellationRequested,
    OrderCancelled,
    OrderDelayed,
    OrderCompleted,
    OrderRefundRequested,
    OrderRefunded,
    CustomerForgotten,
    MenuItemAdded,
    MenuItemChanged,
    MenuItemChangedV1,
    MenuItemRetired,
    ActsRecorded,
)
