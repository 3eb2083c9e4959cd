"""Names the attributes that events have, and refuses patterns that ask for others."""

from collections.abc import Iterator
from difflib import get_close_matches

from backbone.events import deprecation
from backbone.patterns.pattern import BadPattern, Field, Pattern

ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "partitionkey",
    "correlationid",
    "causationid",
    "occurrenceid",
    "sequence",
    "traceparent",
    *deprecation.ATTRIBUTES,
)
"""What an event may have beside its `data` where it is written as one JSON object."""


def check_names(pattern: Pattern) -> None:
    """Refuse a pattern with a name that no event has: misspelt, it would never match. Raises BadPattern."""
    for field in _fields(pattern):
        first, *rest = field.path
        if first != "data" and (rest or first not in ATTRIBUTES):
            reason = f"an event has attributes such as source and type, and data, but never {field.name}{_hint(first)}"
            raise BadPattern(field.place, reason)


def _fields(pattern: Pattern) -> Iterator[Field]:
    yield from pattern.fields
    for choice in pattern.choices:
        for alternative in choice:
            yield from _fields(alternative)


def _hint(name: str) -> str:
    if "detail" in name:
        return " (EventBridge's detail is data here, its detail-type is type)"
    meant = get_close_matches(name.lower(), (*ATTRIBUTES, "data"), 1)
    return f" (is {meant[0]} meant?)" if meant else ""
