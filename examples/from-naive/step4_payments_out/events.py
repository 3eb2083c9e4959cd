"""Events that the shop publishes, in the words of the contracts in schemas/orders, and its view of those it reads."""

from typing import Any, ClassVar, TypeVar

from backbone.events.payload import Payload

E = TypeVar("E", bound=Payload)
Said = dict[str, Any]  # the contract says what stands in it, and is asked before an event is written


class OrderPlaced(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    order: str
    customer: Said
    fulfilment: str = "delivery"
    address: str
    lines: list[Said]
    total: Said


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Said
    fulfilment: str = "delivery"
    address: str
    lines: list[Said]
    total: Said


class OrderRejected(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-rejected.v1"
    order: str
    customer: Said
    reason: str = "The payment was declined."


class PaymentReceived(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.payments.payment-received.v1"
    order: str


class PaymentFailed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.payments.payment-failed.v1"
    order: str
