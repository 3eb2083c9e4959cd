"""Writes down every event of all services, and owes it to the endpoints that ask for it; a job sends it."""

from collections.abc import Mapping, Sequence
from typing import Any

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events import buses
from backbone.events.payload import Event, every_event_of
from backbone.observing.logs import logger
from backbone.storage.database import Tx
from services import CATALOGUE
from services.webhooks import store
from services.webhooks.asking import asked_for
from services.webhooks.decisions import owed
from services.webhooks.events import DeliveryRequested
from services.webhooks.jobs import PRUNE, PRUNE_EVERY
from services.webhooks.messages import Message, message_of
from services.webhooks.planning import apply
from services.webhooks.store import Owed


async def hear(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Keep a batch of events, and plan a round for each endpoint that asks for one of them."""
    heard = [message_of(event) for event in events]
    positions = await store.add_messages(tx, heard)
    new = [message for message in heard if message.event_id in positions]
    asking = asked_for(await store.find_owed_events(tx.raw), new)
    locked = await store.lock_all(tx, asking)
    wanted = asked_for([each for each in locked.values() if each.is_owed_events], new)
    owing = [Owed(name, positions[each.event_id], each.key) for name, found in wanted.items() for each in found]
    await store.owe_all(tx, owing)
    await apply(tx, {name: owed(locked[name], tx.now) for name in wanted}, cause=events[-1].cause)
    _tell_of_the_unowed(new, wanted)
    if not await store.has_job(tx, PRUNE):
        tx.schedule(PRUNE, PRUNE, due=tx.now + PRUNE_EVERY, cause=events[-1].cause)


def _tell_of_the_unowed(messages: Sequence[Message], wanted: Mapping[str, list[Message]]) -> None:
    for message in messages:
        if message.only_for and message not in wanted.get(message.only_for, ()):
            logger.warning(
                "a rule sends something to an endpoint that gets nothing now",
                action="endpoint-not-there",
                endpoint=message.only_for,
                event_id=message.event_id,
            )


_HEAR = BatchHandler(hear)
HANDLERS: Handlers = {
    **{every_event_of(topic): _HEAR for topic in buses.readable("webhooks", CATALOGUE)},
    DeliveryRequested: _HEAR,
}
