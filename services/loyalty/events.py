"""Events that loyalty publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class PointsEarned(Payload, frozen=True, kw_only=True):
    """A completed order earned its customer points; `balance` is what they have with it."""

    TYPE: ClassVar[str] = "sliceline.loyalty.points-earned.v1"
    order: str
    customer_id: str
    points: int
    balance: int


class PointsGranted(Payload, frozen=True, kw_only=True):
    """A customer was given points for the trouble; `balance` is what they have with them."""

    TYPE: ClassVar[str] = "sliceline.loyalty.points-granted.v1"
    customer_id: str
    case: str
    order: str
    points: int
    balance: int


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.loyalty.acts-recorded.v1"


PUBLISHES = (PointsEarned, PointsGranted, ActsRecorded)


class Money(msgspec.Struct, frozen=True, kw_only=True):
    amount: int
    currency: str


class OrderCompleted(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-completed.v1"
    order: str
    customer_id: str
    total: Money


class CaseResolved(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.reviews.case-resolved.v1"
    case: str
    order: str
    customer_id: str
    points: int
