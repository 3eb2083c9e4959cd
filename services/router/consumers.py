"""What the router does when anybody speaks: it asks the rules.

Every event of every other service is on the default bus. What a rule puts on another bus is told to whoever reads that
one, and is held against the rules there at once: what the router knows already needs no event.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event, Unread, every_event_of
from backbone.events.structured import attributes_of
from backbone.observing.logs import logger
from backbone.storage.database import Tx
from services import CATALOGUE
from services.router import decisions, store
from services.router.decisions import DEFAULT_BUS, Arrival, Trouble
from services.router.rulebook import Rulebook

_book = Rulebook("", [])
"""The rules as this process has seen them last."""


async def route(events: Sequence[Event[Unread]], tx: Tx) -> None:
    """Publish what rules make of events, in the transaction that notes them as handled."""
    book = await current(tx)
    troubles: list[Trouble] = []
    for event in events:
        decision = decisions.route(Arrival(DEFAULT_BUS, as_patterns_see_it(event)), book.match)
        tx.apply(decision, key=event.key, cause=event.cause)
        troubles += decision.state
    await store.add_troubles(tx, troubles)
    for trouble in troubles:
        _tell(trouble)


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


TOPICS = tuple(f"{name}.events" for name in CATALOGUE if name != "router")
"""The topics of the default bus."""
HANDLERS: Handlers = dict.fromkeys(map(every_event_of, TOPICS), BatchHandler(route))
