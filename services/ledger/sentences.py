"""Says in a sentence what an event tells: the words are its contract's, `x-sentence` in its schema.

Braces name a field of the data. Money is written as people do, and goods are counted. What no contract describes is
told by its type.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from backbone.events.contracts import BrokenSchema, UnknownContract, schema_of
from backbone.values.currencies import in_words

KEYWORD = "x-sentence"
FIELD = re.compile(r"\{([a-z_]+(?:\.[a-z_]+)*)\}")
MOST_GOODS = 5


def sentence(event_type: str, data: Any) -> str:
    """Say what an event tells."""
    return FIELD.sub(lambda field: _said(_at(field[1], data)), template(event_type))


@cache
def template(event_type: str) -> str:
    """Return the sentence of a type with its braces; its title, or its name, where it has none."""
    try:
        schema = schema_of(event_type)
    except (UnknownContract, BrokenSchema):
        return event_type
    return str(schema.get(KEYWORD) or schema.get("title") or event_type)


def _at(path: str, data: Any) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _said(value: Any) -> str:
    match value:
        case {"amount": int(amount), "currency": str(currency)}:
            return in_words(amount, currency)
        case {"quantity": quantity, **what}:
            return f"{quantity} {what.get('item') or what.get('sku') or 'pieces'}"
        case list():
            more = len(value) - MOST_GOODS
            return ", ".join([*map(_said, value[:MOST_GOODS]), *([f"{more} more"] if more > 0 else [])])
        case None:
            return "nothing"
    return str(value)
