"""Writes an event as it is sent: CloudEvents in structured JSON.

So its attributes stand in the body, and are signed with it; as headers, in binary mode, they would not be.
"""

from datetime import datetime
from typing import Any

import msgspec

from backbone.events.documents import document_of
from backbone.events.payload import Event
from backbone.events.structured import attributes_of, written
from services.webhooks.events import DeliveryRequested

CLOUDEVENT = "application/cloudevents+json; charset=utf-8"
JSON = "application/json"
"""What a webhook is: an event, or what a rule has made of one, in whatever shape."""


class Message(msgspec.Struct, frozen=True):
    """Holds an event that was heard, or what a rule has made of one `only_for` an endpoint."""

    event_id: str
    type: str
    key: str
    body: str
    only_for: str | None = None


def message_of(event: Event[Any]) -> Message:
    """Write down an event as every receiver gets it on every attempt, or what a rule has made for one of them."""
    data = event.data
    if isinstance(data, DeliveryRequested):
        return Message(event.id, event.type, event.key, bytes(data.input).decode(), data.endpoint)
    body = document_of(attributes_of(event), data.text)
    return Message(event.id, event.type, event.key, body.decode())


def ping_of(ping_id: str, at: datetime, endpoint: str, challenge: str) -> bytes:
    """Write the ping that asks an endpoint to answer with a challenge."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": ping_id,
            "type": "sliceline.webhooks.ping.v1",
            "source": "/sliceline/webhooks",
            "subject": endpoint,
            "time": written(at),
            "datacontenttype": "application/json",
            "data": {"challenge": challenge},
        }
    )


def echoes(answer: str, challenge: str) -> bool:
    """Tell whether an answer is the challenge, as text or as `{"challenge": …}`.

    One that only holds it somewhere does not count: many a server repeats whatever it is sent.
    """
    if answer.strip() == challenge:
        return True
    try:
        return bool(msgspec.json.decode(answer, type=_Echo).challenge == challenge)
    except (msgspec.MsgspecError, RecursionError):
        return False


class _Echo(msgspec.Struct, forbid_unknown_fields=True):
    challenge: str
