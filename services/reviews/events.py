"""Declares what reviews publishes: what customers say, how they meant it, and what became of complaints."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class Customer(msgspec.Struct, frozen=True):
    """Names who says it."""

    id: str
    name: str
    email: str


class ReviewReceived(Payload, frozen=True, kw_only=True):
    """Tells what a customer said of an order: stars, words or both."""

    TYPE: ClassVar[str] = "sliceline.reviews.review-received.v1"
    review: str
    order: str
    customer: Customer
    stars: int | None
    text: str | None


class ReviewAnalysed(Payload, frozen=True, kw_only=True):
    """Tells how a review was meant: `score` from -1 to 1, and in one word the `label`."""

    TYPE: ClassVar[str] = "sliceline.reviews.review-analysed.v1"
    review: str
    order: str
    customer: Customer
    stars: int | None
    score: float
    label: str


class CaseOpened(Payload, frozen=True, kw_only=True):
    """Tells that somebody should look after the customer of a bad review; a case has the id of its review."""

    TYPE: ClassVar[str] = "sliceline.reviews.case-opened.v1"
    case: str
    order: str
    customer_id: str
    score: float


class CaseResolved(Payload, frozen=True, kw_only=True):
    """Tells how a case ended, and how many points the customer gets for the trouble, often none."""

    TYPE: ClassVar[str] = "sliceline.reviews.case-resolved.v1"
    case: str
    order: str
    customer_id: str
    note: str
    points: int
    by: str


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.reviews.acts-recorded.v1"


PUBLISHES = (ReviewReceived, ReviewAnalysed, CaseOpened, CaseResolved, ActsRecorded)


class CustomerForgotten(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.customer-forgotten.v1"
    customer_id: str
