"""Handles the events about levels of stock: `decisions.FACTS` names the decision on each.

The events of one SKU come in order and from one partition.
"""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import Decision, fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.alerts import store
from services.alerts.decisions import FACTS, Alerts, Fact


async def follow_levels(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Raise and clear alerts level by level, in the order of the events.

    What is raised and cleared within a batch is told as both.
    """

    def decide(alerts: Alerts | None, event: Event[Fact]) -> Decision[Alerts]:
        return FACTS[type(event.data)](alerts, event.data, tx.now)

    before = await store.lock_all(tx, {event.data.sku for event in events})
    followed = fold(before, events, lambda event: event.data.sku, decide)
    for sku, event, decision in followed:
        tx.apply(decision, key=sku, cause=event.cause)
    after = ((before.get(sku, {}), alerts) for sku, alerts in followed.changed.items())
    await store.save_all(tx, [alert for old, new in after for alert in new.values() if alert != old.get(alert.kind)])


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(follow_levels))
