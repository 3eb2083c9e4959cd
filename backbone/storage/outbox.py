"""Writes what a transaction publishes as rows of the same transaction (outbox). The relay takes them from there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from opentelemetry.trace import SpanKind

from backbone.errors import SlicelineError
from backbone.events import buses, contracts
from backbone.events.envelope import parse_type, unfit
from backbone.events.payload import Cause, Payload
from backbone.events.topics import DEFAULT_BUS
from backbone.ids import new_id
from backbone.observing import telemetry
from backbone.storage import sql

LARGEST = 1024 * 1024
"""Bytes of an event's data. Beyond `dataref.LARGEST_INLINE` it does not travel in the topic."""
Told = tuple[str | None, str, str]
_GIVEN = ("key", "subject", "correlationid", "causationid", "traceparent")


class Row(msgspec.Struct):
    """Holds what is the event's own in a row of the table `outbox`."""

    id: str
    aggregatetype: str
    """The topic, without what all topics end with: so Debezium's router wants it."""
    aggregateid: str
    type: str
    subject: str
    dataschema: str
    correlationid: str
    causationid: str | None
    occurrenceid: str
    traceparent: str | None
    payload: str
    counter: str
    """Under which name its sequence is counted: that of a key begins at 1 on each bus."""
    following: int = 0
    """How many of the same counter come after it in its transaction."""

    @property
    def told(self) -> Told:
        """What led to it, its type and its key: what it is known by where it was published before."""
        return self.causationid, self.type, self.aggregateid


class TooLarge(SlicelineError):
    """An event's data is over 1 MiB; events carry facts, not documents."""


class UnfitAttribute(SlicelineError):
    """An event's attribute cannot travel."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The {name} of an event {reason}.")
        self.name = name


class NewestFirst(SlicelineError):
    """Versions of one happening are published oldest first, for a reader replaced by its next release in between."""


class ForeignEvent(SlicelineError):
    """A service publishes only events of its own name."""


class Apart(SlicelineError):
    """All versions of one happening go to the same bus."""


def rows(
    service: str, payloads: Sequence[Payload], key: str, subject: str, cause: Cause, bus: str | None = None
) -> list[Row]:
    """Make one outbox row per version of one happening; without a `bus` they go to the one that they name.

    Raises ContractBroken, TooLarge, UnfitAttribute, NewestFirst, ForeignEvent, Apart, UnknownBus or NotAllowed.
    """
    _check_attributes(key, subject, cause)
    _check_order(payloads)
    on = buses.publishing(bus or _bus_of(payloads), service)
    topic = on.topic(service)
    occurrence = new_id()
    traceparent = _create(topic, key, cause)
    return [
        Row(
            id=new_id(),
            aggregatetype=buses.stem(topic),
            aggregateid=key,
            type=_owned(service, each.TYPE),
            subject=subject,
            dataschema=contracts.dataschema(each.TYPE),
            correlationid=cause.correlationid,
            causationid=cause.causationid,
            occurrenceid=occurrence,
            traceparent=traceparent,
            payload=_data(each),
            counter=counter(on.name, key),
        )
        for each in payloads
    ]


def _check_attributes(key: str, subject: str, cause: Cause) -> None:
    """Check the attributes that come from elsewhere; all others are made here."""
    given = (key, subject, cause.correlationid, cause.causationid, cause.traceparent)
    for name, value in zip(_GIVEN, given, strict=True):
        if value is not None and (reason := unfit(value)):
            raise UnfitAttribute(name, reason)


def _check_order(payloads: Sequence[Payload]) -> None:
    """Refuse versions out of order: a reader's release that skips the first leaves the second to the next one."""
    if len(payloads) > 1:
        versions = [parse_type(each.TYPE).version for each in payloads]
        if versions != sorted(versions):
            raise NewestFirst


def _bus_of(payloads: Sequence[Payload]) -> str:
    names = {each.BUS for each in payloads}
    if len(names) > 1:
        raise Apart(f"{', '.join(sorted(names))} are several buses for one happening")
    return names.pop() if names else DEFAULT_BUS


def counter(bus: str, key: str) -> str:
    """Name what counts the events of a key on a bus. No key has a line break in it."""
    return key if bus == DEFAULT_BUS else f"{bus}\n{key}"


def _create(topic: str, key: str, cause: Cause) -> str | None:
    """Make the span of the creation, under which all that follows hangs; where none is recorded, the cause's serves."""
    if not telemetry.is_recording() and cause.traceparent:
        return cause.traceparent
    about = {"messaging.message.conversation_id": cause.correlationid, "messaging.kafka.message.key": key}
    with telemetry.messaging("create", topic, SpanKind.PRODUCER, parent=cause.traceparent, attributes=about) as current:
        return telemetry.traceparent_of(current)


async def write(raw: asyncpg.Connection[Any], service: str, now: datetime, outgoing: Sequence[Row]) -> None:
    """Number a transaction's rows within their keys and insert them, in one statement."""
    if outgoing:
        _count_following(outgoing)
        await sql.PUBLISH.execute(raw, service=service, now=now, event=outgoing)


def _count_following(outgoing: Sequence[Row]) -> None:
    seen: Counter[str] = Counter()
    for row in reversed(outgoing):
        row.following = seen[row.counter]
        seen[row.counter] += 1


def _owned(service: str, event_type: str) -> str:
    if parse_type(event_type).service != service:
        raise ForeignEvent(f"{service} may not publish {event_type}")
    return event_type


def _data(payload: Payload) -> str:
    data = msgspec.json.encode(payload)
    if len(data) > LARGEST:
        raise TooLarge(f"{payload.TYPE} is {len(data)} bytes long, {LARGEST} are allowed")
    contracts.check(payload.TYPE, data)
    return data.decode()
