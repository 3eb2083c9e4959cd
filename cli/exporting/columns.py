"""Makes a table of the events of one type: their attributes, and their data in the columns that its contract names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

from backbone.events.contracts import Schema, schema_of

Row = tuple[Any, ...]

_KINDS = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_EVENT = [
    *((name, pa.string()) for name in ("id", "source", "subject")),
    ("time", pa.timestamp("us", "UTC")),
    *((name, pa.string()) for name in ("dataschema", "partitionkey", "correlationid", "causationid", "occurrenceid")),
    ("sequence", pa.int64()),
    ("traceparent", pa.string()),
]
_PLACE = [
    ("topic", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
    ("arrived", pa.timestamp("ms", "UTC")),
]
_HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
UNKNOWN = pa.schema(
    [
        ("eventtype", pa.string()),
        *_EVENT,
        *_PLACE,
        ("problem", pa.string()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", _HEADERS),
    ]
)
"""Of what has no contract, or is no event: the record as it is, with the attributes where they can be read."""


@dataclass(frozen=True)
class Names:
    """Names the fields of an object that have a column, and what objects within it, or within its lists, have."""

    known: frozenset[str]
    within: tuple[tuple[str, "Names"], ...]

    def tell_all(self, value: Any) -> bool:
        """Tell whether columns hold all that a value says; readers of a contract skip what it does not name."""
        if isinstance(value, list):
            return all(self.tell_all(each) for each in value)
        if value is None:
            return True
        return value.keys() <= self.known and all(names.tell_all(value.get(name)) for name, names in self.within)


@dataclass(frozen=True)
class Sheet:
    """Describes the tables of one type of event."""

    schema: pa.Schema
    names: Names


@cache
def sheet_of(event_type: str) -> Sheet:
    """Make the columns of a type from its contract. Raises UnknownContract."""
    contract = schema_of(event_type)
    data, names = _column(contract, contract.get("$defs", {}))
    told = [("problem", pa.string()), ("data", data or pa.struct([])), ("raw", pa.binary())]
    return Sheet(pa.schema([*_EVENT, *_PLACE, *told]), names or Names(frozenset(), ()))


def table_of(schema: pa.Schema, rows: Sequence[Row]) -> pa.Table:
    """Make a table of rows that have their values in the order of the columns."""
    columns = [_array(field, list(values)) for field, values in zip(schema, zip(*rows, strict=True), strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    if field.name == "time":  # a text until here, which Arrow reads faster than Python
        return pa.array(values, pa.string()).cast(field.type)
    return pa.array(values, field.type)


def _column(described: Schema, shared: Schema) -> tuple[pa.DataType | None, Names | None]:
    """Find the type for what a schema describes, and the names within it; None for what has no one shape."""
    if "$ref" in described:
        return _column(shared[described["$ref"].removeprefix("#/$defs/")], shared)
    if "enum" in described or "const" in described:
        values = described.get("enum", [described.get("const")])
        return (pa.string() if all(isinstance(each, str) for each in values) else None), None
    kinds = described.get("type", [])
    kind, *others = [kinds] if isinstance(kinds, str) else [each for each in kinds if each != "null"] or [""]
    if others:
        return None, None
    if kind == "array":
        inner, names = _column(described.get("items", {}), shared)
        return (pa.list_(inner) if inner else None), names
    if kind == "object":
        return _struct(described.get("properties", {}), shared)
    return _KINDS.get(kind), None


def _struct(properties: Schema, shared: Schema) -> tuple[pa.DataType | None, Names | None]:
    found = {name: _column(described, shared) for name, described in properties.items()}
    fields = [(name, kind) for name, (kind, _) in found.items() if kind is not None]
    within = tuple((name, names) for name, (kind, names) in found.items() if kind is not None and names)
    return (pa.struct(fields) if fields else None), Names(frozenset(name for name, _ in fields), within)
