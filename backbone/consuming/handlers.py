"""Defines handlers: what a service does on the events it reads, one by one or a run of them at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbone.consuming.batch import Incoming
from backbone.events.envelope import topic_of
from backbone.events.payload import Event, Payload, Unread
from backbone.events.topics import DEFAULT_BUS
from backbone.storage.database import Tx

EventHandler = Callable[[Event[Any], Tx], Awaitable[None]]


@dataclass(frozen=True)
class BatchHandler:
    """Handles a run of consecutive events of one batch in one call.

    It has to do what handling them one by one would, only in fewer statements. What it publishes, it publishes with
    `cause=event.cause`, because the transaction has no single cause. The rows it changes it locks first, sorted: one
    BatchHandler for all types of a service gets a whole batch at once, so that they are sorted over the batch.

    `repeated` is told of deliveries that the inbox knew already, in the same transaction: few wish to know.
    """

    handle: Callable[[Sequence[Event[Any]], Tx], Awaitable[None]]
    repeated: Callable[[Sequence[Incoming], Tx], Awaitable[None]] | None = None


Handler = EventHandler | BatchHandler
Handlers = Mapping[type[Payload], Handler]
"""What is done on which event, by its view; under `every_event_of` a topic, on all others that come there."""


def topic_of_view(view: type[Payload]) -> str:
    """Name the topic that the events of a view are read from."""
    return view.TYPE if issubclass(view, Unread) else topic_of(view.TYPE, view.BUS)


def views_of(handlers: Handlers) -> dict[str, type[Payload]]:
    """Return the views by what a record has to be for one: its topic and type, its type, or all there is in its topic.

    A type may be on several buses; who reads it on another than the default one means only what is there.
    """
    return {_name_of(view): view for view in handlers}


def _name_of(view: type[Payload]) -> str:
    return view.TYPE if view.BUS == DEFAULT_BUS else f"{topic_of_view(view)} {view.TYPE}"


def topics_of(handlers: Handlers) -> list[str]:
    """Name the topics that handlers need, sorted."""
    return sorted({topic_of_view(view) for view in handlers})
