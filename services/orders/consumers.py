"""Handles the events of the other services.

Nearly all only make a fact known; `decisions` knows what follows from it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import fold
from backbone.events.payload import Event, Payload
from backbone.storage.database import Tx
from services.orders import decisions, refunds, store
from services.orders.decisions import Decision
from services.orders.events import (
    BackorderWithdrawn,
    DeliveryCancelled,
    DeliveryRefusedCancellation,
    ItemShortageChanged,
    KitchenRefusedCancellation,
    OrderCollected,
    OrderDelivered,
    OrderDispatched,
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PaymentVoided,
    PizzaBaked,
    PizzaPrepared,
    StockBackordered,
    StockRejected,
    StockReleased,
    StockReserved,
    TicketCancelled,
)
from services.orders.measuring import measure
from services.orders.order import Entry, Fact, News, Order
from services.orders.store import TimelineEntry

# What each event tells, and the sentence it leaves in the timeline.
FACTS: Mapping[type[Payload], tuple[Fact, str]] = {
    StockReserved: (Fact.STOCK_RESERVED, "Everything is in stock and reserved."),
    StockRejected: (Fact.STOCK_REJECTED, "{why}"),
    StockBackordered: (Fact.STOCK_SHORT, "{why}"),
    BackorderWithdrawn: (Fact.BACKORDER_WITHDRAWN, "It waits for stock no more."),
    StockReleased: (Fact.STOCK_RELEASED, "The reserved stock was released."),
    PaymentReceived: (Fact.PAYMENT_RECEIVED, "The payment was received."),
    PaymentFailed: (Fact.PAYMENT_FAILED, "{why}"),
    PaymentRefunded: (Fact.PAYMENT_UNDONE, "The payment was refunded."),
    PaymentVoided: (Fact.PAYMENT_UNDONE, "Nothing was charged."),
    PizzaPrepared: (Fact.PREPARED, "The kitchen has started."),
    PizzaBaked: (Fact.BAKED, "Everything is out of the oven."),
    TicketCancelled: (Fact.TICKET_CANCELLED, "The kitchen had not started and cancelled its ticket."),
    KitchenRefusedCancellation: (Fact.CANCELLATION_REFUSED, "The kitchen refused to cancel: {why}"),
    OrderDispatched: (Fact.DISPATCHED, "The courier is on the way."),
    OrderDelivered: (Fact.DELIVERED, "The courier has delivered."),
    OrderCollected: (Fact.COLLECTED, "The customer has collected."),
    DeliveryCancelled: (Fact.DELIVERY_CANCELLED, "Nothing had left the shop; delivery is cancelled."),
    DeliveryRefusedCancellation: (Fact.CANCELLATION_REFUSED, "Delivery refused to cancel: {why}"),
}


async def learn(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Add the facts to their orders, in the order they came, and do what follows from each.

    All rows are locked in one sorted sweep and written in one statement. Facts about unknown orders are only kept.
    """

    orders = await store.lock_all(tx, (event.data.order for event in events))
    decided = fold(orders, events, lambda event: event.data.order, lambda order, event: decide(order, event, tx.now))
    for order, event, decision in decided:
        tx.apply(decision, key=order, cause=event.cause)
    measure(tx, [(event, decision) for _, event, decision in decided])
    await store.save_all(tx, [decision for _, _, decision in decided])
    await store.add_entries(tx, [_kept(event) for event in events if event.data.order not in orders])


def decide(order: Order | None, event: Event[Any], now: datetime) -> Decision | None:
    """Add one fact to an order and do what follows from it; nothing where the order is not known."""
    if order is None:
        return None
    if settle := refunds.FACTS.get(type(event.data)):
        return settle(order, event.data, event.time)
    return decisions.learn(order, _news(event), now)


async def note_shortages(events: Sequence[Event[ItemShortageChanged]], tx: Tx) -> None:
    """Keep which items of the menu cannot be made for want of which SKU; the last that is told of each counts."""
    short = {(event.data.item, event.data.sku): event.data.short for event in events}
    await store.save_shortages(tx, short)


def _news(event: Event[Any]) -> News:
    fact, text = FACTS[type(event.data)]
    why = getattr(event.data, "why", None)
    return News(fact, event.type, event.time, text.replace("{why}", why or ""), why)


def _kept(event: Event[Any]) -> TimelineEntry:
    if type(event.data) in refunds.FACTS:
        return TimelineEntry(event.data.order, refunds.entry_of(event.data, event.time))
    news = _news(event)
    return TimelineEntry(event.data.order, Entry(None, news.at, news.event, news.text))


HANDLERS: Handlers = {
    **dict.fromkeys([*FACTS, *refunds.FACTS], BatchHandler(learn)),
    ItemShortageChanged: BatchHandler(note_shortages),
}
