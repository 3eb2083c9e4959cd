"""What an order is worth in points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backbone.values.currencies import minor_digits
from services.loyalty.events import Money, OrderCompleted, PointsEarned


@dataclass(frozen=True, slots=True)
class Credit:
    """The balances as they are from now on, and what the world is told of each order: None of one worth no point."""

    balances: dict[str, int]
    earned: tuple[PointsEarned | None, ...]


def points_for(total: Money) -> int:
    """One point per whole unit of the currency: 1,299 pence are 12, 1,299 yen are 1,299."""
    unit: int = 10 ** minor_digits(total.currency)
    return max(0, total.amount) // unit


def credit(balances: Mapping[str, int], orders: Iterable[OrderCompleted]) -> Credit:
    """Fold completed orders into the balances of their customers."""
    after = dict(balances)
    earned: list[PointsEarned | None] = []
    for order in orders:
        told = _earned(order, after.get(order.customer_id, 0))
        if told:
            after[order.customer_id] = told.balance
        earned.append(told)
    return Credit(after, tuple(earned))


def _earned(order: OrderCompleted, balance: int) -> PointsEarned | None:
    points = points_for(order.total)
    if not points:
        return None
    return PointsEarned(order=order.order, customer_id=order.customer_id, points=points, balance=balance + points)
