"""Judges from two JSON Schemas whether a reader can take everything a writer may say.

The writer's schema is taken as closed (it writes nothing its schema does not name), the reader's as open (it
skips what it does not know). A reader of today is held against the writers of today and of every earlier
day, whose events still lie in the topics. A change of meaning cannot be seen here: golden samples are for that.
"""

from typing import Any

import jsonschema_rs
from jsonschema_rs import canonical

Schema = dict[str, Any]

# Keywords whose value maps names to schemas, and keywords whose value is data and no schema.
_MAPS = {"$defs", "properties"}
_DATA = {"const", "default", "enum", "examples"}


def takes_all(reader: Schema, writer: Schema) -> bool:
    """Tell whether the reader is known to take all the writer may write; what cannot be decided is not."""
    return _covers(reader, writer) is canonical.Containment.YES


def is_undecided(reader: Schema, writer: Schema) -> bool:
    """Tell whether it can be shown neither that the reader takes all the writer may write, nor that it fails to."""
    return _covers(reader, writer) is canonical.Containment.UNKNOWN


def _covers(reader: Schema, writer: Schema) -> canonical.Containment:
    try:
        return _canonical(reader).covers(_canonical(closed(writer)))
    except canonical.CanonicalizationError:
        return canonical.Containment.UNKNOWN


def _canonical(schema: Schema) -> jsonschema_rs.CanonicalSchema:
    """Normalize a schema; formats count, as they do when an event is checked."""
    return jsonschema_rs.canonicalize(schema, validate_formats=True, offline=True)


def closed(schema: Schema) -> Schema:
    """Copy a schema so that objects hold named properties only. It must not compose objects by allOf."""
    copy = {keyword: _closed(keyword, value) for keyword, value in schema.items()}
    return {"additionalProperties": False, **copy} if "properties" in schema else copy


def _closed(keyword: str, value: Any) -> Any:
    if keyword in _DATA:
        return value
    if keyword in _MAPS:
        return {name: _closed("", each) for name, each in value.items()}
    if isinstance(value, list):
        return [_closed("", each) for each in value]
    return closed(value) if isinstance(value, dict) else value
