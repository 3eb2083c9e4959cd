"""Events that payments publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class Money(msgspec.Struct, frozen=True):
    """Holds minor units (pence, cents) of an ISO 4217 currency."""

    amount: int
    currency: str


class PaymentReceived(Payload, frozen=True, kw_only=True):
    """The customer was charged `amount` under `reference`, once."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-received.v1"
    order: str
    amount: Money
    reference: str
    reason: str | None = None


class PaymentFailed(Payload, frozen=True, kw_only=True):
    """The order will not be paid, for `reason`; nothing is kept of what may have been charged."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-failed.v1"
    order: str
    amount: Money
    reference: str
    reason: str | None


class PaymentRefunded(Payload, frozen=True, kw_only=True):
    """The provider gave back what had been charged, for `reason`: what refunds had left of it."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-refunded.v1"
    order: str
    amount: Money
    reference: str
    reason: str | None


class PaymentVoided(Payload, frozen=True, kw_only=True):
    """Nothing was charged under `reference`, nor ever will be, for `reason`."""

    TYPE: ClassVar[str] = "sliceline.payments.payment-voided.v1"
    order: str
    reference: str
    reason: str | None


class RefundPaid(Payload, frozen=True, kw_only=True):
    """The provider gave back `amount` of a payment that is otherwise kept, once, under the `refund`'s own name."""

    TYPE: ClassVar[str] = "sliceline.payments.refund-paid.v1"
    order: str
    refund: str
    amount: Money
    reason: str


class RefundFailed(Payload, frozen=True, kw_only=True):
    """Nothing is given back for this `refund`; `why` says what stood against it."""

    TYPE: ClassVar[str] = "sliceline.payments.refund-failed.v1"
    order: str
    refund: str
    amount: Money
    reason: str
    why: str


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.payments.acts-recorded.v1"


PUBLISHES: tuple[type[Payload], ...] = (
    PaymentReceived,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    RefundPaid,
    RefundFailed,
    ActsRecorded,
)


class Customer(msgspec.Struct, frozen=True):
    id: str


class OrderPlaced(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    order: str
    customer: Customer
    total: Money
    back_orderable: tuple[str, ...] = ()
    """The items for which the customer waits: where there are any, the payment is due only when that is told."""


class OrderPaymentDue(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-payment-due.v1"
    order: str
    customer: Customer
    total: Money


class OrderRejected(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-rejected.v1"
    order: str
    reason: str | None


class OrderCancelled(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancelled.v1"
    order: str
    reason: str | None


class OrderRefundRequested(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-refund-requested.v1"
    order: str
    refund: str
    amount: Money
    reason: str
