"""Compares a reader's schema with its writer's, and says in words what the reader would lose.

Whether anything is lost is decided by `compatibility.py`, for the whole and again for each part; here is found out
where and why, so that a sentence can say it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from backbone.events.compatibility import Schema, is_undecided, takes_all


class Loss(NamedTuple):
    """Says what the reader does and what the writer's schema says: `needs customer.id`, `lets it be missing`."""

    at: str
    """The field, as in `lines[].sku`; empty for the data as a whole."""
    rule: str
    """One of `type`, `values`, `unknown`, `missing`, `limits`, `shape`, and `undecided`."""
    does: str
    says: str


Pairs = frozenset[tuple[int, int]]
"""The parts, of reader and writer, that a part is within: a schema that refers to itself is followed for one turn."""

_FACETS = (
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def losses(reader: Schema, writer: Schema) -> list[Loss]:
    """Say what the reader asks for and the writer does not promise; nothing when it can take all that may come."""
    return list(dict.fromkeys(_losses("", _Side(reader), _Side(writer), frozenset())))


class _Side:
    """Holds a schema, or a part of one, with the definitions that it refers to."""

    def __init__(self, schema: Schema, definitions: Schema | None = None) -> None:
        self.definitions: Schema = schema.get("$defs", {}) if definitions is None else definitions
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
        self.schema = schema
        self.choices = [self.part(each) for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))] or [self]

    def part(self, schema: Schema) -> "_Side":
        return _Side(schema, self.definitions)

    def whole(self) -> Schema:
        return {**self.schema, "$defs": self.definitions}

    @property
    def fields(self) -> dict[str, "_Side"]:
        """Its properties, of whichever choice has them."""
        return {
            name: each.part(schema)
            for each in self.choices
            for name, schema in each.schema.get("properties", {}).items()
        }

    @property
    def required(self) -> list[str]:
        return [name for each in self.choices for name in each.schema.get("required", ())]

    @property
    def items(self) -> "_Side | None":
        found = (each.part(each.schema["items"]) for each in self.choices if isinstance(each.schema.get("items"), dict))
        return next(found, None)

    @property
    def values(self) -> list[Any] | None:
        """The values that it is limited to, if it is."""
        listed = [
            each.schema.get("enum", [each.schema["const"]] if "const" in each.schema else None) for each in self.choices
        ]
        return None if None in listed else [value for values in listed if values for value in values]

    @property
    def kinds(self) -> list[str]:
        """The JSON types that it allows; none where it does not say."""
        found: list[str] = []
        for each in self.choices:
            said = each.schema.get("type", [])
            found += [said] if isinstance(said, str) else said
            found += [_KINDS[type(value)] for value in each.schema.get("enum", ()) if type(value) in _KINDS]
        return list(dict.fromkeys(found))


def _losses(at: str, reader: _Side, writer: _Side, above: Pairs) -> Iterator[Loss]:
    pair = id(reader.schema), id(writer.schema)
    if pair in above or takes_all(reader.whole(), writer.whole()):
        return
    within = above | {pair}
    found = [
        *_of_kind(at, reader, writer),
        *_of_values(at, reader, writer),
        *_of_fields(at, reader, writer, within),
        *_of_items(at, reader, writer, within),
    ]
    yield from found or _of_facets(at, reader, writer) or [_of_shape(at, reader, writer)]


def _of_kind(at: str, reader: _Side, writer: _Side) -> Iterator[Loss]:
    takes, writes = reader.kinds, writer.kinds
    refused = [each for each in writes if each not in takes and not (each == "integer" and "number" in takes)]
    if not takes or not refused:
        return
    about = f"reads {at or 'the data'} as {' or '.join(takes)}"
    others = [each for each in refused if each != "null"]
    yield Loss(at, "type", about, f"says {' or '.join(others)}" if others else "lets it be null")


def _of_values(at: str, reader: _Side, writer: _Side) -> Iterator[Loss]:
    known, said = reader.values, writer.values
    if known is None:
        return
    if said is None:
        if set(writer.kinds) & set(reader.kinds):
            yield Loss(at, "values", f"knows only {_listed(known)} of {at}", "allows any other")
        return
    for value in said:
        if value not in known and value is not None:
            yield Loss(at, "values", f"does not know the {at} {_listed([value])}", "allows it")


def _of_fields(at: str, reader: _Side, writer: _Side, within: Pairs) -> Iterator[Loss]:
    takes, writes = reader.fields, writer.fields
    for name in reader.required if "object" in writer.kinds else ():
        if name not in writes:
            yield Loss(below(at, name), "unknown", f"needs {below(at, name)}", "has no such field")
        elif name not in writer.required:
            yield Loss(below(at, name), "missing", f"needs {below(at, name)}", "lets it be missing")
    for name, field in takes.items():
        if name in writes:
            yield from _losses(below(at, name), field, writes[name], within)


def _of_items(at: str, reader: _Side, writer: _Side, within: Pairs) -> Iterator[Loss]:
    if reader.items and writer.items:
        yield from _losses(f"{at}[]", reader.items, writer.items, within)


def _of_facets(at: str, reader: _Side, writer: _Side) -> list[Loss]:
    given = {(name, each.schema[name]) for each in reader.choices for name in _FACETS if name in each.schema}
    return [
        _of_facet(at, {name: value}, f"wants {name} {value} of {at or 'the data'}", writer)
        for name, value in sorted(given, key=str)
        if not takes_all({name: value}, writer.whole())
    ]


def _of_facet(at: str, facet: Schema, does: str, writer: _Side) -> Loss:
    return Loss(at, "undecided" if is_undecided(facet, writer.whole()) else "limits", does, "does not promise it")


def _of_shape(at: str, reader: _Side, writer: _Side) -> Loss:
    rule = "undecided" if is_undecided(reader.whole(), writer.whole()) else "shape"
    return Loss(at, rule, f"does not take all of {at or 'the data'}", "allows more")


def _listed(values: list[Any]) -> str:
    return ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)


def below(at: str, name: str) -> str:
    """Name a field of what is at a place: `customer.id`."""
    return f"{at}.{name}" if at else name
