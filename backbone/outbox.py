"""The outbox: what a transaction publishes is a row of the same transaction. The relay takes it from there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from opentelemetry.trace import SpanKind

from backbone import contracts, sql, telemetry
from backbone.envelope import parse_type, unfit
from backbone.errors import SlicelineError
from backbone.events import Cause, Payload
from backbone.identity import new_id

LARGEST = 64 * 1024

Row = tuple[str, str, str, str, str, str, datetime, str, str, str | None, str, str | None, str]


class TooLarge(SlicelineError):
    """An event's data is over 64 KiB; events carry facts, not documents."""


class UnfitKey(SlicelineError):
    """An event's key cannot travel as an attribute."""


class ForeignEvent(SlicelineError):
    """A service publishes only events of its own name."""


def rows(service: str, payloads: Sequence[Payload], key: str, subject: str, cause: Cause, now: datetime) -> list[Row]:
    """One outbox row per version of one happening, checked; columns in the order that PUBLISH takes them."""
    if reason := unfit(key):
        raise UnfitKey(f"The key of an event {reason}.")
    occurrence = new_id()
    traceparent = _create(service, key, cause)
    return [
        (
            new_id(),
            _owner(service, each),
            key,
            each.TYPE,
            f"/sliceline/{service}",
            subject,
            now,
            contracts.dataschema(each.TYPE),
            cause.correlationid,
            cause.causationid,
            occurrence,
            traceparent,
            _data(each),
        )
        for each in payloads
    ]


def _create(service: str, key: str, cause: Cause) -> str | None:
    """The span of the creation, that all which follows from the event hangs on; unrecorded, the cause's serves."""
    if not telemetry.is_recording() and cause.traceparent:
        return cause.traceparent
    about = {"messaging.message.conversation_id": cause.correlationid, "messaging.kafka.message.key": key}
    topic = f"{service}.events"
    with telemetry.messaging("create", topic, SpanKind.PRODUCER, parent=cause.traceparent, attributes=about) as current:
        return telemetry.traceparent_of(current)


async def write(raw: asyncpg.Connection[Any], outgoing: Sequence[Row]) -> None:
    """Number the rows within their keys and insert them, in one statement."""
    if outgoing:
        await raw.execute(sql.PUBLISH, *map(list, zip(*outgoing, strict=True)))


def _owner(service: str, payload: Payload) -> str:
    if parse_type(payload.TYPE)[0] != service:
        raise ForeignEvent(f"{service} may not publish {payload.TYPE}")
    return service


def _data(payload: Payload) -> str:
    data = msgspec.json.encode(payload)
    if len(data) > LARGEST:
        raise TooLarge(f"{payload.TYPE} is {len(data)} bytes long, {LARGEST} are allowed")
    contracts.check(payload.TYPE, data)
    return data.decode()
