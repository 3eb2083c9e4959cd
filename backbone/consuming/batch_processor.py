"""Turns a batch into effects: does all that a consumer does inside the one transaction of a batch."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from opentelemetry.trace import Span, SpanKind
from structlog.contextvars import bound_contextvars

from backbone.consuming import counting, inbox, parking, sql
from backbone.consuming.batch import Batch, Incoming
from backbone.consuming.counting import Settled, Spans
from backbone.consuming.handlers import BatchHandler, EventHandler, Handlers, topic_of_view, views_of
from backbone.errors import SlicelineError
from backbone.events.payload import Cause, Event, Unread
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.observing.telemetry import Attributes, messaging, trace_id_of, traceparent_of
from backbone.storage.database import Database, Tx

ANY = "any"
"""Stands for the type of an event that is taken whatever its type."""
_time_of = attrgetter("time")


class Fenced(SlicelineError):
    """Another replica has moved the partition's offset: it owns the partition now."""


class Paused(Fenced):
    """Somebody has paused the consumer: no batch of it is begun."""


class BatchProcessor:
    """Applies batches to one service's database. A consumer and a redrive share it."""

    def __init__(
        self, name: str, handlers: Handlers, database: Database, beat: Callable[[], None] = lambda: None
    ) -> None:
        """`beat` is called before every wait for the database and every event: a long batch looks alive."""
        self._beat = beat
        self._name = name
        self._database = database
        self._handlers = handlers
        self._wish_to_know = any(isinstance(each, BatchHandler) and each.repeated for each in handlers.values())
        self.views = views_of(handlers)

    async def apply(self, batch: Batch, *, fresh: bool = False) -> None:
        """Commit effects, inbox, new events, jobs and offsets of a batch, all or nothing. `fresh`: on a new connection.

        Raises Fenced when the stored offsets are not where the batch begins, Paused when the consumer is; else whatever
        its events raise.
        """
        self._beat()
        async with self._database.transaction(fresh=fresh) as tx:
            self._beat()
            some_parked, spans = await self._move(tx, batch)
            known = [each for each in batch.incoming if each.event or each.broken]
            ours = await inbox.without_discarded(tx, self._name, known)
            open_ones = await parking.sift(tx, self._name, ours) if some_parked else ours
            self._beat()
            unseen = await self.admit(tx, open_ones)
            repeated = less(open_ones, unseen)
            held = await counting.newly_held(tx, self._name, less(ours, open_ones), spans)
            settled = Settled(unseen, repeated=repeated, held=held)
            # Before the handlers: what one of them does to the connection is met by nothing of ours after it, and all
            # who count and handle, redrives and replays too, lock the counts first and what handlers lock then.
            await counting.add(tx, self._name, counting.counts_of(batch, settled, spans))
            await self.handle(tx, open_ones, unseen)
        _count(batch, ours, unseen)
        _time(self._name, _events_of(unseen), self._database.now())
        self._count_read(open_ones)

    async def park(self, batch: Batch, error: Exception) -> None:
        """Park the one event of a batch and move the offset past it."""
        self._beat()
        async with self._database.transaction() as tx:
            _, spans = await self._move(tx, batch)
            await parking.park(tx, self._name, batch.incoming[0], error)
            held = await counting.newly_held(tx, self._name, batch.incoming, spans)
            settled = Settled(applied=(), repeated=(), held=held)
            await counting.add(tx, self._name, counting.counts_of(batch, settled, spans))

    def failed(self, batch: Batch, error: Exception) -> Batch:
        """Note in a batch that an attempt at it has failed: it is kept with those events that are handled later."""
        return batch.failed(error, self._database.now())

    async def admit(self, tx: Tx, incoming: Sequence[Incoming]) -> list[Incoming]:
        """Note events as handled, in a transaction that is the caller's; return those that were not handled before.

        Raises the error of one that cannot be read.
        """
        for each in incoming:
            if each.broken:
                raise each.broken
        listened = [each for each in incoming if each.event]
        return await inbox.deduplicate(tx, self._name, listened)

    async def handle(self, tx: Tx, incoming: Sequence[Incoming], unseen: Sequence[Incoming]) -> None:
        """Handle those of the admitted events that were not handled before, `unseen`, in the caller's transaction."""
        await self._handle(tx, unseen)
        await self._tell_repeated(tx, less(incoming, unseen))

    async def _handle(self, tx: Tx, incoming: Sequence[Incoming]) -> None:
        events = _events_of(incoming)
        for handler, run in groupby(events, key=lambda event: self._handlers[type(event.data)]):
            if isinstance(handler, BatchHandler):
                await self._handle_set(tx, handler, list(run))
                continue
            for event in run:
                await self._handle_one(tx, handler, event)

    async def _tell_repeated(self, tx: Tx, incoming: Sequence[Incoming]) -> None:
        """Tell those handlers that wish to know it of what the inbox knew already."""
        if not self._wish_to_know:
            return
        for handler, run in groupby(incoming, key=lambda each: each.event and self._handlers[type(each.event.data)]):
            if isinstance(handler, BatchHandler) and handler.repeated:
                await handler.repeated(list(run), tx)

    async def _handle_set(self, tx: Tx, handler: BatchHandler, events: Sequence[Event[Any]]) -> None:
        self._beat()
        count, group = len(events), self._name
        about: Attributes = {"messaging.consumer.group.name": group, "messaging.batch.message_count": count}
        # A set has no single cause, so it is linked to all of them; one event alone goes on in its own trace.
        parent = events[0].traceparent if count == 1 else None
        links = (event.traceparent for event in events) if parent is None else ()
        topic = _topic_of(events[0])
        with messaging("process", topic, SpanKind.CONSUMER, parent=parent, links=links, attributes=about):
            await handler.handle(events, tx)

    async def _handle_one(self, tx: Tx, handler: EventHandler, event: Event[Any]) -> None:
        self._beat()
        with bound_contextvars(event_id=event.id, event_type=event.type, key=event.key), self._span(event) as current:
            tx.cause = Cause(event.correlationid, event.id, traceparent_of(current))
            await handler(event, tx)

    def _span(self, event: Event[Any]) -> AbstractContextManager[Span]:
        about = {
            "messaging.consumer.group.name": self._name,
            "messaging.message.id": event.id,
            "messaging.message.conversation_id": event.correlationid,
            "messaging.kafka.message.key": event.key,
            "cloudevents.event_id": event.id,
            "cloudevents.event_source": event.source,
            "cloudevents.event_type": event.type,
        }
        return messaging("process", _topic_of(event), SpanKind.CONSUMER, parent=event.traceparent, attributes=about)

    async def _move(self, tx: Tx, batch: Batch) -> tuple[bool, Spans]:
        """Move the stored offsets past the batch; return whether any key is parked, and which records count.

        Raises Fenced when the stored offsets are not where the batch begins, and Paused.
        """
        steps = [(*place, *batch.ranges[place]) for place in sorted(batch.ranges)]
        rows = await sql.OFFSETS_MOVE.fetch(tx.raw, consumer=self._name, step=steps)
        if len(rows) < len(steps):
            raise Fenced
        if rows[0]["is_paused"]:
            raise Paused
        return bool(rows[0]["some_parked"]), counting.spans_of(rows)

    def tell_what_is_read(self) -> None:
        """Show the metrics which types and versions this process listens to, before the first of them comes."""
        for view in self._handlers:
            if not issubclass(view, Unread):
                metrics.READ.labels(self._name, view.TYPE)

    def _count_read(self, incoming: Sequence[Incoming]) -> None:
        """Count what was read by its type; who takes events unread, whatever their type, reads no version."""
        events = (each for each in _events_of(incoming) if not isinstance(each.data, Unread))
        for event_type, count in Counter(event.type for event in events).items():
            metrics.READ.labels(self._name, event_type).inc(count)


def _topic_of(event: Event[Any]) -> str:
    return topic_of_view(type(event.data))


def less(incoming: Sequence[Incoming], others: Sequence[Incoming]) -> Sequence[Incoming]:
    """Return what is in a batch, without those others of it."""
    if len(incoming) == len(others):
        return ()
    without = {id(each) for each in others}
    return [each for each in incoming if id(each) not in without]


def _events_of(incoming: Sequence[Incoming]) -> list[Event[Any]]:
    return [each.event for each in incoming if each.event]


def _count(batch: Batch, ours: Sequence[Incoming], unseen: Sequence[Incoming]) -> None:
    fresh = _events_of(unseen)
    metrics.SKIPPED.inc(len(batch.incoming) - len(ours))
    metrics.REPEATED.inc(len(ours) - len(fresh))
    for event_type, count in Counter(event.type for event in fresh).items():
        metrics.HANDLED.labels(event_type).inc(count)
    if logger.is_enabled_for(logging.DEBUG):
        _tell_each(fresh)


def _time(consumer: str, events: Sequence[Event[Any]], now: datetime) -> None:
    """Measure how long effects took from when their events were made, by type; the oldest of each names its trace.

    Who takes events whatever their type has one series: else whoever publishes would make new ones.
    """
    by_type: dict[str, list[Event[Any]]] = defaultdict(list)
    for event in events:
        by_type[ANY if isinstance(event.data, Unread) else event.type].append(event)
    for event_type, alike in by_type.items():
        series = metrics.PATHWAY.labels(consumer, event_type)
        oldest = min(alike, key=_time_of)
        for event in alike:
            exemplar = metrics.exemplar_of(event.traceparent) if event is oldest else None
            series.observe((now - event.time).total_seconds(), exemplar)


def _tell_each(events: Sequence[Event[Any]]) -> None:
    """Log a line for every event, so that one order can be followed through the logs of all services."""
    for event in events:
        logger.debug(
            "an event was handled",
            action="event-handled",
            event_type=event.type,
            key=event.key,
            event_id=event.id,
            correlationid=event.correlationid,
            trace_id=trace_id_of(event.traceparent),
        )
