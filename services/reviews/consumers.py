"""Forgets customers whom orders has forgotten: a review holds what is theirs as well."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.sealing import store
from backbone.storage.database import Tx
from services.reviews.events import CustomerForgotten


async def forget(events: Sequence[Event[CustomerForgotten]], tx: Tx) -> None:
    """Destroy the data keys of these customers, where there are any."""
    await store.forget(tx, {event.data.customer_id: event.time for event in events})


HANDLERS: Handlers = {CustomerForgotten: BatchHandler(forget)}
