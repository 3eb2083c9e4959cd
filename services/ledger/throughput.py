"""Decides from archived events alone how many orders were placed, and how many ended and how, in each step of time."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from services.ledger.funnel import ENDS
from services.ledger.funnel import STEPS as SAID

STEPS = 60
"""Into how many steps a time is divided: one of so many minutes has steps of as many seconds."""
STATUSES: Mapping[str, str] = {
    "orders.order-placed": "placed",
    **{name: status for name, status in SAID if status in ENDS},
}
"""The status that an order reaches with an event."""


class Series(msgspec.Struct, frozen=True):
    """Holds how many orders reached a status in each step, the first step first."""

    status: str
    orders: tuple[int, ...]


def beginning(now: datetime, step: int) -> datetime:
    """Return when the first step begins where the last one is under way; `step` is how many seconds each takes.

    Steps begin at multiples of their length, so that whoever asks again finds the same orders in the same step.
    """
    last = int(now.timestamp()) // step * step
    return datetime.fromtimestamp(last - step * (STEPS - 1), UTC)


def series(counts: Iterable[tuple[str, int, int]]) -> tuple[Series, ...]:
    """Lay counts out by status; each says of a status and of a step, by its number, how many orders there were."""
    known = {(status, step): orders for status, step, orders in counts}
    return tuple(
        Series(status, tuple(known.get((status, step), 0) for step in range(STEPS))) for status in STATUSES.values()
    )
