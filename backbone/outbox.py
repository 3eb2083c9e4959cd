"""The outbox: what a transaction publishes is a row of the same transaction. The relay takes it from there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from opentelemetry.trace import SpanKind

from backbone import contracts, sql
from backbone.envelope import parse_type, unfit
from backbone.errors import SlicelineError
from backbone.events import Cause, Payload
from backbone.identity import new_id
from backbone.telemetry import messaging, traceparent_of

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
    about = {"messaging.message.conversation_id": cause.correlationid, "messaging.kafka.message.key": key}
    topic = f"{service}.events"
    with messaging("create", topic, SpanKind.PRODUCER, parent=cause.traceparent, attributes=about) as current:
        traceparent = traceparent_of(current)
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
