"""Events that notifications publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class NotificationSent(Payload, frozen=True, kw_only=True):
    """The mail server has taken the mail."""

    TYPE: ClassVar[str] = "sliceline.notifications.notification-sent.v3"
    notification: str
    kind: str
    recipient: str
    about: str


class NotificationSentV2(Payload, frozen=True, kw_only=True):
    """Tells the same to readers of version 2, whose kinds are a list that ends before mails about refunds."""

    TYPE: ClassVar[str] = "sliceline.notifications.notification-sent.v2"
    notification: str
    kind: str
    recipient: str
    about: str


class NotificationSentV1(Payload, frozen=True, kw_only=True):
    """Tells the same to readers of version 1, which knows no mails about orders that are late either."""

    TYPE: ClassVar[str] = "sliceline.notifications.notification-sent.v1"
    notification: str
    kind: str
    recipient: str
    about: str


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.notifications.acts-recorded.v1"


PUBLISHES: tuple[type[Payload], ...] = (NotificationSentV1, NotificationSentV2, NotificationSent, ActsRecorded)


class Money(msgspec.Struct, frozen=True):
    amount: int
    currency: str


class Customer(msgspec.Struct, frozen=True):
    name: str
    email: str


class Line(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    address: str | None
    lines: tuple[Line, ...]
    total: Money


class OrderRejected(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-rejected.v1"
    order: str
    customer: Customer
    reason: str | None


class OrderBackordered(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-backordered.v1"
    order: str
    customer: Customer
    reason: str | None


class OrderCancelled(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancelled.v1"
    order: str
    customer: Customer
    reason: str | None


class OrderDelayed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-delayed.v1"
    order: str
    customer: Customer
    reason: str | None


class OrderRefunded(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-refunded.v1"
    order: str
    customer: Customer
    amount: Money
    reason: str


class StockAlertRaised(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.alerts.stock-alert-raised.v1"
    sku: str
    kind: str
    available: int
    threshold: int
    ceiling: int
    channel: str
    times: int = 1


class ReviewAnalysed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.reviews.review-analysed.v1"
    order: str
    customer: Customer
    label: str


class CartReminderDue(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.reminders.cart-reminder-due.v1"
    cart: str
    customer: Customer
    lines: tuple[Line, ...]


class Unbalanced(msgspec.Struct, frozen=True):
    type: str
    missing: int
    twice: int
    candidates: tuple[str, ...]


class BalanceBroken(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.balance-broken.v1"
    consumer: str
    differences: tuple[Unbalanced, ...]


class BalanceRestored(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.balance-restored.v1"
    consumer: str


class ContractReleased(Payload, frozen=True, kw_only=True):
    """A contract has a new form; `reader` is who reads its event, and so should hear of it."""

    TYPE: ClassVar[str] = "sliceline.ledger.contract-released.v1"
    contract: str
    form: int
    release: str
    owner: str | None = None
    reader: str | None = None
    reader_owner: str | None = None
