"""An order as data: where it stands, what is known about it, and what its timeline says."""

from datetime import datetime
from enum import StrEnum

import msgspec

from services.orders.events import Customer, Fulfilment, Line, Money


class Status(StrEnum):
    """Names where an order stands; the last three are the ends."""

    PLACED = "placed"
    BACKORDERED = "backordered"
    CONFIRMED = "confirmed"
    PREPARING = "preparing"
    BAKED = "baked"
    READY = "ready"
    DISPATCHED = "dispatched"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Fact(StrEnum):
    """Names something that has happened to an order, like the event that tells it."""

    # What others tell.
    STOCK_RESERVED = "stock-reserved"
    STOCK_REJECTED = "stock-rejected"
    STOCK_SHORT = "stock-backordered"
    BACKORDER_WITHDRAWN = "backorder-withdrawn"
    STOCK_RELEASED = "stock-released"
    PAYMENT_RECEIVED = "payment-received"
    PAYMENT_FAILED = "payment-failed"
    # Nothing of a payment is kept; payment-voided tells it as well. The release before knows it by this name.
    PAYMENT_UNDONE = "payment-refunded"
    PREPARED = "pizza-prepared"
    BAKED = "pizza-baked"
    DISPATCHED = "order-dispatched"
    DELIVERED = "order-delivered"
    COLLECTED = "order-collected"
    TICKET_CANCELLED = "ticket-cancelled"
    DELIVERY_CANCELLED = "delivery-cancelled"
    CANCELLATION_REFUSED = "cancellation-refused"
    # What orders decides.
    PLACED = "order-placed"
    # It has items for which its customer waits, and is charged when all is reserved. No event of its own tells it.
    PAYMENT_HELD = "payment-held"
    BACKORDERED = "order-backordered"
    PAYMENT_DUE = "order-payment-due"
    CONFIRMED = "order-confirmed"
    REJECTED = "order-rejected"
    CANCELLATION_REQUESTED = "order-cancellation-requested"
    CANCELLED = "order-cancelled"
    COMPLETED = "order-completed"


ENDS = frozenset({Status.COMPLETED, Status.REJECTED, Status.CANCELLED})


class Basket(msgspec.Struct, frozen=True):
    """Holds what is bought and what it costs, whoever buys it; for the `patient` items an order may wait."""

    lines: tuple[Line, ...]
    total: Money
    patient: tuple[str, ...]


class Buyer(msgspec.Struct, frozen=True):
    """Holds who buys, and where it shall go."""

    customer: Customer
    fulfilment: Fulfilment
    address: str | None


class Order(msgspec.Struct, frozen=True):
    """Holds an order with everything known about it.

    `reason` is why it was rejected or cancelled, or shall be, or waits for stock. `correlationid` is what all events
    about it have in common, once it is stored.
    """

    id: str
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: Money
    status: Status
    reason: str | None
    facts: frozenset[Fact]
    placed_at: datetime
    stepped_at: datetime
    delayed: bool
    version: int
    correlationid: str | None = None

    @property
    def ended(self) -> bool:
        """Tell whether nothing can change the status any more."""
        return self.status in ENDS


class News(msgspec.Struct, frozen=True):
    """Holds a fact as it is told: the event's type, when it happened, and a sentence for people."""

    fact: Fact
    event: str
    at: datetime
    text: str
    reason: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """Holds a line of the timeline.

    `status` is where the order stood after it, None when the order was not known.
    """

    status: Status | None
    at: datetime
    event: str
    text: str


class RefundStatus(StrEnum):
    """Names where a refund stands."""

    REQUESTED = "requested"
    PAID = "paid"
    FAILED = "failed"


class Refund(msgspec.Struct, frozen=True):
    """Holds what the staff had given back of an order's payment, by whom and why; `failure` is why it failed."""

    id: str
    amount: Money
    reason: str
    by: str
    status: RefundStatus
    requested_at: datetime
    settled_at: datetime | None = None
    failure: str | None = None


class Settlement(msgspec.Struct, frozen=True):
    """Tells how a refund ended."""

    order: str
    id: str
    status: RefundStatus
    failure: str | None
    settled_at: datetime
