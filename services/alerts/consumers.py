"""What alerts does about levels of stock. The events of one SKU come in order and from one partition."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.alerts import decisions, store
from services.alerts.events import StockAlertRaised, StockLevelChanged
from services.alerts.jobs import keep_quiet


async def follow_levels(events: Sequence[Event[StockLevelChanged]], tx: Tx) -> None:
    """Raise and clear as the levels went, one by one: what is raised and cleared within a batch is told as both."""
    before = await store.lock_all(tx, {event.data.sku for event in events})
    after, told = decisions.follow(before, [event.data for event in events], tx.now)
    await store.save_all(tx, [alert for name, alert in after.items() if alert != before.get(name)])
    for event, payloads in zip(events, told, strict=True):
        for payload in payloads:
            tx.publish(payload, key=event.data.sku, cause=event.cause)
            if isinstance(payload, StockAlertRaised):
                keep_quiet(tx, payload.sku, payload.kind, event.cause)


HANDLERS: Handlers = {StockLevelChanged: BatchHandler(follow_levels)}
