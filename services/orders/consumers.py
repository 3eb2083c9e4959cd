"""What orders learns from the others. Nearly all of it is: this fact is known now; `decisions` knows what follows."""

from collections.abc import Mapping, Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event, Payload
from backbone.service import Handlers
from services.orders import decisions, tables
from services.orders.events import (
    DeliveryCancelled,
    DeliveryRefusedCancellation,
    KitchenRefusedCancellation,
    OrderCollected,
    OrderDelivered,
    OrderDispatched,
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PizzaBaked,
    PizzaPrepared,
    StockRejected,
    StockReleased,
    StockReserved,
    TicketCancelled,
)
from services.orders.jobs import keep_watch
from services.orders.order import Entry, Fact, News

# What each event tells, and the sentence it leaves in the timeline.
FACTS: Mapping[type[Payload], tuple[Fact, str]] = {
    StockReserved: (Fact.STOCK_RESERVED, "Everything is in stock and reserved."),
    StockRejected: (Fact.STOCK_REJECTED, "{why}"),
    StockReleased: (Fact.STOCK_RELEASED, "The reserved stock was released."),
    PaymentReceived: (Fact.PAYMENT_RECEIVED, "The payment was received."),
    PaymentFailed: (Fact.PAYMENT_FAILED, "{why}"),
    PaymentRefunded: (Fact.PAYMENT_REFUNDED, "The payment was refunded."),
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


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Lock the orders of a whole batch in one sorted sweep."""
    await tables.lock(tx.raw, (event.data.order for event in events))


async def learn(event: Event[Any], tx: Tx) -> None:
    """Add a fact to its order and do what follows from it; a fact about an unknown order is only kept."""
    order_id, news = event.data.order, _news(event)
    order = (await tables.load(tx.raw, [order_id])).get(order_id)
    if order is None:
        await tables.keep(tx.raw, [(order_id, Entry(None, news.at, news.event, news.text))])
        return
    decision = decisions.learn(order, news, tx.now)
    await tables.apply(tx, decision)
    keep_watch(tx, order, decision.order)


def _news(event: Event[Any]) -> News:
    fact, text = FACTS[type(event.data)]
    why = getattr(event.data, "why", None)
    return News(fact, event.type, event.time, text.replace("{why}", why or ""), why)


HANDLERS: Handlers = dict.fromkeys(FACTS, learn)
