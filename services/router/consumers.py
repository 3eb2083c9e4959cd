"""What the router does when anybody speaks: it asks the rules.

Every event of every other service is on the default bus. What a rule puts on another bus is told to whoever reads that
one, and is held against the rules there at once: when it comes back from the topic, it is passed over.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import Decision
from backbone.events.payload import Event, Unread, every_event_of
from backbone.events.structured import attributes_of
from backbone.observing.logs import logger
from backbone.storage.database import Tx
from services.router import decisions, store
from services.router.decisions import Arrival, Routed, Trouble
from services.router.events import EventForwarded
from services.router.reach import OWN_SOURCE, bus_named, reach, topics
from services.router.rulebook import Rulebook

_book = Rulebook("", [])
"""The rules as this process has seen them last."""


async def route(events: Sequence[Event[Unread]], tx: Tx) -> None:
    """Publish what rules make of events, in the transaction that notes them as handled."""
    book = await current(tx)
    troubles: list[Trouble] = []
    within = reach()
    for event in events:
        if event.source == OWN_SOURCE:
            continue
        arrival = Arrival(bus_named(event.data.topic), as_patterns_see_it(event))
        decision = decisions.route(arrival, book.match, within)
        _publish(tx, event, decision)
        troubles += decision.state
    await store.add_troubles(tx, troubles)
    for trouble in troubles:
        _tell(trouble)


def _publish(tx: Tx, event: Event[Unread], decision: Routed) -> None:
    """Do what `Tx.apply` does, with each event on the bus that its rule says."""
    for each in decision.events:
        if isinstance(each, EventForwarded):
            tx.publish(each, key=event.key, cause=event.cause, bus=each.bus)
        else:
            tx.apply(Decision(None, (each,)), key=event.key, cause=event.cause)


def _tell(trouble: Trouble) -> None:
    logger.warning(
        "a rule could not pass an event on",
        action="rule-troubled",
        rule=trouble.rule,
        kind=trouble.kind,
        event_id=trouble.event,
        detail=trouble.detail,
    )


async def current(tx: Tx) -> Rulebook:
    """Give the rules as they are, from memory where none has changed."""
    global _book
    revision = await store.revision(tx)
    if _book.revision != revision:
        _book = Rulebook(revision, await store.find_enabled(tx), _book)
    return _book


def as_patterns_see_it(event: Event[Unread]) -> dict[str, Any]:
    """Show an event as CloudEvents' JSON format has it: one object with the attributes that it has, and `data`."""
    return {**attributes_of(event), "data": msgspec.json.decode(event.data.text)}


HANDLERS: Handlers = dict.fromkeys(map(every_event_of, topics()), BatchHandler(route))
