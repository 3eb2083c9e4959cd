"""Says in words what a field of an event may hold, from its JSON Schema."""

import json
from collections.abc import Mapping
from typing import Any

RANGES = (("minLength", "maxLength", " characters"), ("minimum", "maximum", ""), ("minItems", "maxItems", " of them"))
LARGEST = 2**53 - 1
"""The largest whole number that every JSON reader keeps; as a limit it tells nobody anything."""
WORDS = {"array": "list", "string": "text", "integer": "whole number", "boolean": "true or false"}


def type_in_words(schema: Mapping[str, Any]) -> str:
    """Say what a value may be: `string or null, up to 500 characters`."""
    ranges = (_range(schema.get(least), schema.get(most), what) for least, most, what in RANGES)
    shape = [f"like {schema['pattern']}" if "pattern" in schema else "", schema.get("format", "")]
    return ", ".join(filter(None, [_kind(schema), *ranges, *shape]))


def _range(least: int | None, most: int | None, what: str) -> str:
    most = None if most == LARGEST else most
    if most is None:
        return "" if least in (None, -LARGEST) else f"from {least}{what}"
    return f"up to {most}{what}" if least in (None, -LARGEST) else f"{least} to {most}{what}"


def _kind(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(map(_kind, choices))
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(each) for each in schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", "anything")
    return " or ".join(WORDS.get(each, each) for each in ([kinds] if isinstance(kinds, str) else kinds))
