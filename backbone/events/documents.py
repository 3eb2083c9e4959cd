"""Reads and writes events as one JSON document each (CloudEvents' structured mode), and tells the modes apart.

We publish in binary mode. What others send in structured mode is read as the record it would be in binary mode.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from base64 import b64decode
from typing import Any

import msgspec

STRUCTURED = b"application/cloudevents+json"
"""The media type of such a document."""
Headers = list[tuple[str, bytes | None]]


class Unreadable(ValueError):
    """A document is no event."""


def is_document(content_type: bytes | None) -> bool:
    """Tell whether a content type says that a record's value is such a document."""
    return content_type != b"application/json" and media_type(content_type) == STRUCTURED


def unread_mode(content_type: bytes | None) -> str | None:
    """Say so where a content type stands for a mode of CloudEvents, or a format of one, that we do not read."""
    kind = media_type(content_type)
    if kind.startswith(b"application/cloudevents-batch"):
        return "batched mode is not read, only binary and structured mode"
    if kind.startswith(b"application/cloudevents") and kind != STRUCTURED:
        return "structured mode is read as JSON only"
    return None


def is_json(content_type: bytes | None) -> bool:
    """Tell whether a media type is JSON by CloudEvents' rule (JSON Format 1.0.2, 3.1): json, or ending with +json."""
    kind, _, subtype = media_type(content_type).partition(b"/")
    return bool(kind) and (subtype == b"json" or subtype.endswith(b"+json"))


def media_type(content_type: bytes | None) -> bytes:
    """Return a media type without parameters, in lower case (RFC 9110, 8.3.1)."""
    return (content_type or b"").split(b";")[0].strip().lower()


def unfold(document: bytes) -> tuple[Headers, bytes]:
    """Return the headers and the value that the event has in binary mode. Raises Unreadable.

    An attribute that is null is not there (JSON Format, 2.2); whether the others may be so is seen by whoever reads on.
    """
    try:
        found = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        value = _data(found)
        content_type = _text(found.pop("datacontenttype", msgspec.Raw(b"null"))) or b"application/json"
        if is_document(content_type):  # an event about an event: its data is JSON like any other
            content_type = b"application/json"
        headers: Headers = [("content-type", content_type)]
        return headers + [(f"ce_{name}", _text(raw)) for name, raw in found.items()], value
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise Unreadable(f"the document is no event in CloudEvents' JSON format ({error})") from None


def document_of(attributes: dict[str, str | bool], data: bytes) -> bytes:
    """Write an event as a document; `data` is JSON text."""
    return msgspec.json.encode({**attributes, "data": msgspec.Raw(data)})


def _data(found: dict[str, msgspec.Raw]) -> bytes:
    data, coded = found.pop("data", None), found.pop("data_base64", None)
    if data is not None and coded is not None:
        raise Unreadable("the document has data and data_base64, of which there may be one")
    if coded is None:
        return bytes(data or b"")
    try:
        return b64decode(msgspec.json.decode(coded, type=str), validate=True)
    except ValueError:
        raise Unreadable("data_base64 is not base64") from None


def _text(raw: msgspec.Raw) -> bytes | None:
    """Return an attribute as binary mode has it (CloudEvents 1.0.2, 3.1: a Boolean or an Integer has one text)."""
    value: Any = msgspec.json.decode(raw, type=str | bool | int | None)
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return None if value is None else str(value).encode()
