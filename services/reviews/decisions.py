"""Decides how a review was meant, and what becomes of the case that a bad one opens.

    received ──► analysed: positive, neutral
                     └───► negative, and a case: open ──► resolved

A case is its review's, and has its id.
"""

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal, Start
from services.reviews.events import CaseOpened, CaseResolved, Customer, ReviewAnalysed, ReviewReceived

ANALYSE = "analyse"
"""The job that tells how a review was meant."""
MOST_POINTS = 10_000
"""What one case can be worth: a slip of the finger gives nobody a fortune."""
CLEAR = 0.05
"""From here on VADER's authors call a score positive, or below its negative, negative."""
_MIDDLE, _REACH = 3, 2


class Label(StrEnum):
    """Says in one word how a review was meant."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class CaseStatus(StrEnum):
    """Names how far a case is."""

    OPEN = "open"
    RESOLVED = "resolved"


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what a customer said of an order; `score` and `label` once it is analysed, the rest where it has a case."""

    id: str
    order: str
    customer: Customer
    stars: int | None
    text: str | None
    received_at: datetime
    correlationid: str  # of the review's story
    score: float | None = None
    label: Label | None = None
    case: CaseStatus | None = None
    opened_at: datetime | None = None
    note: str | None = None
    points: int | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None


class Resolution(msgspec.Struct, frozen=True):
    """Says how a case is resolved, and by whom."""

    note: str
    points: int
    by: str


class Resolved(Refusal):
    """The case was resolved before."""

    def __init__(self, review: Review) -> None:
        super().__init__(f"The case was resolved by {review.resolved_by} at {review.resolved_at:%Y-%m-%d %H:%M} UTC.")


def receive(review: Review) -> Decision[Review]:
    """Take a review down, tell of it, and have it analysed."""
    return Decision(review, events=(_received(review),), start=(Start(ANALYSE, data={"text": review.text}),))


def analysed(review: Review, words: float | None, now: datetime) -> Decision[Review] | None:
    """Tell how a review was meant, by its stars and the score of its words; None: that was known."""
    if review.label is not None:
        return None
    score, label = judge(review.stars, words)
    judged = replace(review, score=score, label=label)
    told = _analysed(judged, score, label)
    if label is not Label.NEGATIVE:
        return Decision(judged, events=(told,))
    opened = CaseOpened(case=judged.id, order=judged.order, customer_id=judged.customer.id, score=score)
    return Decision(replace(judged, case=CaseStatus.OPEN, opened_at=now), events=(told, opened))


def judge(stars: int | None, words: float | None) -> tuple[float, Label]:
    """Give score and label. The score is that of the words, where there are any; the label is what the stars say.

    Words only decide where there are no stars, or three: stars are what the customer says, a score is a guess.
    """
    starred = 0.0 if stars is None else (stars - _MIDDLE) / _REACH
    score = starred if words is None else words
    return score, _label(starred or score)


def resolve(review: Review, resolution: Resolution, now: datetime) -> Decision[Review]:
    """Resolve a review's open case. Raises Resolved."""
    if review.case is CaseStatus.RESOLVED:
        raise Resolved(review)
    after = replace(
        review,
        case=CaseStatus.RESOLVED,
        note=resolution.note,
        points=resolution.points,
        resolved_by=resolution.by,
        resolved_at=now,
    )
    told = CaseResolved(
        case=review.id,
        order=review.order,
        customer_id=review.customer.id,
        note=resolution.note,
        points=resolution.points,
        by=resolution.by,
    )
    return Decision(after, events=(told,))


def _label(score: float) -> Label:
    if score >= CLEAR:
        return Label.POSITIVE
    return Label.NEGATIVE if score <= -CLEAR else Label.NEUTRAL


def _received(review: Review) -> ReviewReceived:
    return ReviewReceived(
        review=review.id, order=review.order, customer=review.customer, stars=review.stars, text=review.text
    )


def _analysed(review: Review, score: float, label: Label) -> ReviewAnalysed:
    return ReviewAnalysed(
        review=review.id, order=review.order, customer=review.customer, stars=review.stars, score=score, label=label
    )
