"""Tells people what differs between two schemas, a line for each field."""

import json
from collections.abc import Iterator
from typing import Any

from backbone.events.compatibility import Schema
from backbone.events.fields import Field, fields_of

INNER = {"properties", "required", "items", "$defs", "anyOf"}
"""Keywords whose changes are told by the fields within."""


def changes(before: Schema, after: Schema) -> Iterator[str]:
    """Tell what is new (+), what is gone (-) and what has changed (~)."""
    yield from _of_keywords("the event", before, after, ignoring=INNER | {"$id", "title"})
    old, new = fields_of(before), fields_of(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"+ {name}: {_told(new[name])}"
        elif name not in new:
            yield f"- {name}: {_told(old[name])}"
        else:
            yield from _of_field(name, old[name], new[name])


def _of_field(name: str, old: Field, new: Field) -> Iterator[str]:
    if old.required != new.required:
        yield f"~ {name}: {'optional' if old.required else 'required'} now"
    yield from _of_keywords(name, old.schema, new.schema, ignoring=INNER)


def _of_keywords(name: str, old: Schema, new: Schema, ignoring: set[str]) -> Iterator[str]:
    for keyword in sorted((old.keys() | new.keys()) - ignoring):
        before, after = old.get(keyword, ...), new.get(keyword, ...)
        if before != after:
            yield f"~ {name}: {keyword} {_spelled(before)} -> {_spelled(after)}"


def _told(field: Field) -> str:
    kind = field.schema.get("type", field.schema.get("enum", "anything"))
    need = "required" if field.required else "optional"
    return f"{need}, {_spelled(kind)}. {field.schema.get('description', '')}".strip()


def _spelled(value: Any) -> str:
    if value is ...:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
