"""Shows what events say to whoever looks: the personal is sealed for all, and other text to those who only read."""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from backbone.consuming.masking import Mask
from backbone.values.sealed import SEALED
from services.console.asking import Ask

PLAIN = "operations.act"
"""Whoever has this scope mends events, and so sees them as they are."""
HIDDEN = "(sealed)"
_LONGEST = 140
_DOCUMENTS = ("data", "payload")
"""Members by which events, steps of journeys and letters tell what happened."""
_SAID = (*_DOCUMENTS, "key", "subject", "sentence", "error", "message", "reason", "diff", "value")
"""Members in which the same may stand again, wherever they are."""
_WORD = re.compile(r"\w+")
# One for all pages of a process: what is shown again is the same.
_SALT = secrets.token_bytes(16)


def masked(ask: Ask, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event, a step of a journey or a letter as somebody may see it.

    Without the scope what is personal in it is other text of the same shape, in what was made of it as well: in the
    record, in its sentence, in what went wrong. `is_key_masked` says that its key leads nowhere.
    """
    if ask.may(PLAIN):
        return event
    mask = Mask(_SALT)
    for document in (event[name] for name in _DOCUMENTS if name in event):
        if isinstance(document, str):
            mask.learn_broken(document)
        else:
            mask.learn(document)
    shown: Mapping[str, Any] = _within(mask, event)
    return {**shown, "is_key_masked": shown["key"] != event["key"]}


def brief(data: Any) -> str:
    """Write data in one line that is cut where it is long; what is sealed is said to be."""
    text = SEALED.sub(HIDDEN, data if isinstance(data, str) else msgspec.json.encode(data).decode())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def pretty(data: Any) -> str:
    """Write data as people read JSON; what is sealed is said to be."""
    text = data if isinstance(data, str) else msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    return SEALED.sub(HIDDEN, text)


def _within(mask: Mask, told: Any) -> Any:
    match told:
        case dict():
            return {name: _member(mask, name, inner) for name, inner in told.items()}
        case list():
            return [_within(mask, inner) for inner in told]
    return told


def _member(mask: Mask, name: str, inner: Any) -> Any:
    if isinstance(inner, str) and name.endswith("_base64"):
        return b64encode(_record(mask, b64decode(inner)).encode()).decode()
    if name not in _SAID:
        return _within(mask, inner)
    return _text(mask, inner) if isinstance(inner, str) else mask.value(inner)


def _text(mask: Mask, text: str) -> str:
    """Replace what is personal in a text, words that are too short for a mask to look for them as well."""
    return _WORD.sub(lambda found: mask.text(found[0]), mask.text(text))


def _record(mask: Mask, raw: bytes) -> str:
    """Replace what is personal in a value of a record: as a document, for JSON may write a text in several ways."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict | list):
        mask.learn(found)
        return msgspec.json.encode(mask.value(found)).decode()
    text = raw.decode(errors="backslashreplace")
    mask.learn_broken(text)
    return _text(mask, text)
