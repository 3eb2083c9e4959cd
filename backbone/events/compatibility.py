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


def unreadable(reader: Schema, writer: Schema) -> Schema | None:
    """Describe, as a schema, data the writer may write and the reader would refuse; None when there is none.

    What cannot be decided counts as unreadable, and is described by all that the writer may write.
    """
    takes, writes = jsonschema_rs.canonicalize(reader), jsonschema_rs.canonicalize(closed(writer))
    if takes.covers(writes) is canonical.Containment.YES:
        return None
    try:
        refused = writes.subtract(takes)
    except canonical.CanonicalizationError:
        refused = writes
    described = refused.to_json_schema()
    return described if isinstance(described, dict) else {"const": described}


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
