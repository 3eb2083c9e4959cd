"""Says what an order was worth in points: decided again over an empty balance."""

from datetime import datetime
from typing import Any

from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.loyalty.decisions import FACTS, Credit
from services.loyalty.events import PointsEarned, PointsGranted


def _credited(points: int | None, event: Event[Any], _: datetime) -> Credit | None:
    return FACTS[type(event.data)](points or 0, event.data)


REBUILDS = (
    Rebuilding(
        of="order",
        key=lambda payload: payload.order,
        heard=dict.fromkeys(FACTS, _credited),
        told={},
        at_once=frozenset({PointsEarned, PointsGranted}),
        show=lambda points: {"points": points},
        lacks="The customer's balance, to which other orders add.",
    ),
)
