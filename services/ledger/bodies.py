"""What the ledger answers about events."""

from base64 import b64encode
from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict

from services.ledger.kept import Archived, data_of


class EventView(BaseModel):
    """An event: its attributes as CloudEvents name them, its data (as text where it cannot be read), where it lies."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    key: str
    correlationid: str
    causationid: str | None
    traceid: str | None
    occurrenceid: str
    sequence: int
    topic: str
    partition: int
    offset: int
    recorded_at: datetime | None
    archived_at: datetime
    data: Any


class EventPage(BaseModel):
    """Events in their order. `next` goes on from where this answer has stopped, having seen `looked_at` events."""

    items: list[EventView]
    next: str | None
    looked_at: int


class RawHeader(BaseModel):
    name: str
    value_base64: str | None


class Raw(BaseModel):
    """The record that an event came in, byte for byte."""

    key_base64: str
    headers: list[RawHeader]
    value_base64: str


class WholeEvent(EventView):
    """An event with the record that it came in."""

    raw: Raw


class JobView(BaseModel):
    """A job that is not done: how often it was tried, and what it failed for last."""

    model_config = ConfigDict(from_attributes=True)

    service: str
    kind: str
    key: str
    attempts: int
    error: str | None
    due: datetime
    parked_at: datetime | None


class RetriedView(BaseModel):
    """A job that has ended and took several attempts, with the last error before its end."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    key: str
    attempts: int
    error: str | None
    ended_at: datetime


class FaultView(BaseModel):
    """The error of one attempt that failed; of several events tried `together` any may have caused it."""

    model_config = ConfigDict(from_attributes=True)

    error: str
    at: datetime | None
    together: int


class ListenerView(BaseModel):
    """How far a listener is with an event: not known, to come, handled, passed, parked, held or discarded."""

    model_config = ConfigDict(from_attributes=True)

    service: str
    state: str
    in_topic_ms: float | None
    in_handler_ms: float | None
    handled_at: datetime | None
    since: datetime | None
    error: str | None
    attempts: int | None
    errors: list[FaultView]
    jobs: list[JobView]
    retried: list[RetriedView]


class StepView(BaseModel):
    """One event, told in a sentence, with the spans that it took, in milliseconds."""

    model_config = ConfigDict(from_attributes=True)

    event: str
    source: str
    type: str
    key: str
    correlationid: str
    causationid: str | None
    time: datetime
    sentence: str
    data: Any
    after_ms: float | None
    in_outbox_ms: float | None
    archived_at: datetime
    listeners: list[ListenerView]
    finished: list[str]
    unfinished: list[str]
    unknown: list[str]


class JourneyView(BaseModel):
    """All that happened to an order. `is_cut`: it has more events than are told here."""

    model_config = ConfigDict(from_attributes=True)

    order: str
    steps: list[StepView]
    took_ms: float
    unfinished: list[str]
    unanswered: list[str]
    jobs: list[JobView]
    is_cut: bool


def shown(event: Archived) -> dict[str, Any]:
    """Show an event in a list."""
    return {**msgspec.structs.asdict(event), "data": data_of(event)}


def shown_whole(event: Archived) -> dict[str, Any]:
    """Show an event with its record."""
    headers = [{"name": name, "value_base64": None if value is None else _text(value)} for name, value in event.headers]
    raw = {"key_base64": _text(event.record_key), "headers": headers, "value_base64": _text(event.value)}
    return {**shown(event), "raw": raw}


def _text(value: bytes) -> str:
    return b64encode(value).decode()
