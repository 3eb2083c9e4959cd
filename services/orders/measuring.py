"""Measures how long orders take from being accepted to being confirmed, which an objective is set for."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import Histogram

from backbone.events.payload import Event
from backbone.observing.metrics import WAITS, exemplar_of
from backbone.storage.database import Database, Tx
from backbone.storage.gauges import Told
from services.orders import store
from services.orders.decisions import Decision
from services.orders.events import OrderConfirmed
from services.orders.order import Fact, Order, Status

CONFIRMED = Histogram(
    "sliceline_orders_confirmed_seconds",
    "From an order's acceptance to its confirmation; `backordered`: whether it waited for stock",
    ["backordered"],
    buckets=WAITS,
)


def measure(tx: Tx, decided: Iterable[tuple[Event[Any], Decision]]) -> None:
    """Have the orders measured that these decisions confirm; each names the trace of the event that led to it."""
    for event, decision in decided:
        if any(entry.event == OrderConfirmed.TYPE for entry in decision.entries):
            tx.measure(partial(_measure, decision.state, tx.now, event.traceparent))


def _measure(order: Order, now: datetime, traceparent: str | None) -> None:
    seconds = (now - order.placed_at).total_seconds()
    # Its series begin with the first order: the other services of one machine have imported this as well.
    CONFIRMED.labels("yes" if Fact.BACKORDERED in order.facts else "no").observe(seconds, exemplar_of(traceparent))


async def _unconfirmed(database: Database) -> dict[str, float]:
    since = await store.find_unconfirmed_since(database)
    return {Status.PLACED: max(database.now() - since, timedelta(0)).total_seconds() if since else 0.0}


UNCONFIRMED = Told(
    "orders_unconfirmed_oldest_seconds",
    "How long an order stands placed and neither confirmed nor rejected, at most; what waits for stock is not counted",
    "status",
    _unconfirmed,
)
