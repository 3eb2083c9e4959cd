"""Shows what events say to whoever looks: the personal is sealed for all, and other text to those who only read."""

import secrets
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
# One for all pages of a process: what is shown again is the same.
_SALT = secrets.token_bytes(16)


def masked(ask: Ask, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event as somebody may see it; without the scope, what is personal is other text of the same shape."""
    if ask.may(PLAIN):
        return event
    mask = Mask(_SALT)
    mask.learn(event["data"])
    return {**event, **{name: mask.value(event[name]) for name in ("data", "key", "subject") if name in event}}


def brief(data: Any) -> str:
    """Write data in one line that is cut where it is long; what is sealed is said to be."""
    text = SEALED.sub(HIDDEN, data if isinstance(data, str) else msgspec.json.encode(data).decode())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def pretty(data: Any) -> str:
    """Write data as people read JSON; what is sealed is said to be."""
    text = data if isinstance(data, str) else msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    return SEALED.sub(HIDDEN, text)
