"""Decides what an order, or the trouble with one, is worth in points."""

from collections.abc import Callable, Mapping
from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Payload
from backbone.values.currencies import minor_digits
from services.loyalty.events import CaseResolved, Money, OrderCompleted, PointsEarned, PointsGranted

Fact = OrderCompleted | CaseResolved
Credited = PointsEarned | PointsGranted


class Credit(Decision[int], frozen=True):
    """Holds a customer's balance from now on, and what was credited."""

    events: tuple[Credited, ...] = ()


def points_for(total: Money) -> int:
    """Give one point per whole unit of the currency: 1,299 pence are 12, 1,299 yen are 1,299."""
    unit: int = 10 ** minor_digits(total.currency)
    return max(0, total.amount) // unit


def credit(balance: int, order: OrderCompleted) -> Credit | None:
    """Credit a completed order to its customer; return None for one worth no point."""
    points = points_for(order.total)
    if not points:
        return None
    after = balance + points
    return Credit(
        after, (PointsEarned(order=order.order, customer_id=order.customer_id, points=points, balance=after),)
    )


def grant(balance: int, case: CaseResolved) -> Credit | None:
    """Credit what the customer gets for the trouble; return None for a case that is worth no point."""
    if not case.points:
        return None
    after = balance + case.points
    granted = PointsGranted(
        customer_id=case.customer_id, case=case.case, order=case.order, points=case.points, balance=after
    )
    return Credit(after, (granted,))


FACTS: Mapping[type[Payload], Callable[[int, Any], Credit | None]] = {OrderCompleted: credit, CaseResolved: grant}
"""What happens on which event."""
