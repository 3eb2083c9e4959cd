"""Forgets people of whom an event says so: whoever takes in what is theirs keeps data keys of its own."""

from collections.abc import Callable, Sequence
from typing import Any

from backbone.consuming.handlers import BatchHandler
from backbone.events.payload import Event
from backbone.sealing import store
from backbone.storage.database import Tx


def forgetting(whose: Callable[[Any], str]) -> BatchHandler:
    """Make the handler of events that tell of people who were forgotten; `whose` names the person, given the data.

    It destroys the data keys that they had when it happened, where there are any.
    """

    async def forget(events: Sequence[Event[Any]], tx: Tx) -> None:
        await store.forget(tx, {whose(event.data): event.time for event in events})

    return BatchHandler(forget)
