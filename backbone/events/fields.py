"""Lists the fields of a schema by their paths, as `lines[].unit_price.amount`, and where in its file each stands."""

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from backbone.events.compatibility import Schema
from backbone.events.losses import below

Pointer = tuple[str, ...]
Described = tuple[Any, Pointer]


class Field(NamedTuple):
    """Describes one field."""

    schema: Schema
    """What its contract says of it; a definition that it refers to is filled in."""
    pointer: Pointer
    """The way to it in the schema."""
    required: bool


def fields_of(schema: Schema) -> dict[str, Field]:
    """List the fields, those within others and within each part of a list too; `lines[]` is what a list holds."""
    found: dict[str, Field] = {}
    _Walk(schema.get("$defs", {}), found).go("", (schema, ()), frozenset())
    return found


def parts(schema: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each part of a schema that stands for one itself, with the field or definition that it is about."""
    yield at, schema
    if not isinstance(schema, dict):
        return
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, below(at, name))
    for name, part in schema.get("$defs", {}).items():
        yield from parts(part, name)
    if "items" in schema:
        yield from parts(schema["items"], f"{at}[]")
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from parts(part, at)


def reads(readers_fields: dict[str, Field], field: str) -> bool:
    """Tell whether a reader with these fields would notice what happens to a field; an empty name is all of them."""
    return not field or any(_touches(known, each.schema, field) for known, each in readers_fields.items())


def is_in(field: str, others: Collection[str]) -> bool:
    """Tell whether a field is one of these, or lies within one of them."""
    return field in others or field.startswith(tuple(f"{other}{sign}" for other in others for sign in ".["))


def line_of(text: str, pointer: Pointer) -> int:
    """Find the line of a JSON text on which a part stands, or else the nearest that it would be in."""
    place = value = 0
    for name in pointer:
        members = dict(_members(text, value))
        if name not in members:
            break
        place, value = members[name]
    return text.count("\n", 0, place) + 1


def _members(text: str, at: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the names in the JSON object that begins at a place, each with where it and its value stand."""
    at = _past(text, at)
    while text[at : at + 1] in ("{", ","):
        place = _past(text, at + 1)
        if text[place : place + 1] != '"':
            return
        name, end = _DECODER.raw_decode(text, place)
        value = _past(text, _past(text, end) + 1)
        yield name, (place, value)
        at = _past(text, _DECODER.raw_decode(text, value)[1])


_DECODER = json.JSONDecoder()


def _past(text: str, at: int) -> int:
    """Go past white space."""
    while text[at : at + 1] in (" ", "\n", "\r", "\t"):
        at += 1
    return at


def _touches(known: str, schema: Schema, field: str) -> bool:
    takes_all_of_it = not {"properties", "items", "anyOf"} & schema.keys()
    return is_in(known, [field]) or (takes_all_of_it and is_in(field, [known]))


class _Walk:
    """Goes through a schema; one that refers to itself is followed for one turn."""

    def __init__(self, definitions: Schema, found: dict[str, Field]) -> None:
        self._definitions = definitions
        self._found = found

    def go(self, at: str, described: Described, within: frozenset[str]) -> None:
        """Note what is in a part of the schema."""
        schema, pointer = described
        if name := _definition_of(schema):
            if name in within or name not in self._definitions:
                return None
            described = self._definitions[name], ("$defs", name)
            return self.go(at, described, within | {name})
        required = schema.get("required", ())
        for name, part in schema.get("properties", {}).items():
            self._enter(below(at, name), (part, (*pointer, "properties", name)), name in required, within)
        if isinstance(schema.get("items"), dict):
            self._enter(f"{at}[]", (schema["items"], (*pointer, "items")), True, within)
        for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            self.go(at, (part, pointer), within)
        return None

    def _enter(self, at: str, described: Described, required: bool, within: frozenset[str]) -> None:
        schema, pointer = described
        if not isinstance(schema, dict):  # true and false are schemas too, which say nothing of a field
            schema, described = {}, ({}, pointer)
        filled = {**self._definitions.get(_definition_of(schema), {}), **_without_reference(schema)}
        self._found.setdefault(at, Field(filled, pointer, required))
        self.go(at, described, within)


def _definition_of(schema: Schema) -> str:
    reference: Any = schema.get("$ref", "")
    return str(reference).removeprefix("#/$defs/") if str(reference).startswith("#/$defs/") else ""


def _without_reference(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
