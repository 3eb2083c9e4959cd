"""Tells what is agreed on about events: versions, until when they are published, and who reads which field of them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from backbone.events import contracts
from backbone.events.contracts import SENSITIVE, Schema
from backbone.events.envelope import parse_type
from backbone.events.fields import Field, fields_of, reads
from backbone.events.wording import type_in_words


def known() -> list[str]:
    """List the types of all events that have a contract."""
    return [each for owner in contracts.owners() for each in contracts.schemas_of(owner)]


def summary(event_type: str) -> dict[str, Any]:
    """Tell of a contract what a list shows. Raises UnknownContract."""
    schema, name = contracts.schema_of(event_type), parse_type(event_type)
    leaving = contracts.leaving(event_type)
    return {
        "type": event_type,
        **name._asdict(),
        "description": schema.get("description", ""),
        "kind": schema.get("x-kind"),
        "owner": schema.get("x-owner"),
        "leaving": msgspec.structs.asdict(leaving) if leaving else None,
        "retired": contracts.retired(event_type),
        "readers": list(contracts.views_of(event_type)),
    }


def whole(event_type: str) -> dict[str, Any]:
    """Tell all of a contract. Raises UnknownContract."""
    schema = contracts.schema_of(event_type)
    views = {name: fields_of(view) for name, view in contracts.views_of(event_type).items()}
    samples = contracts.samples_of(event_type)
    return {
        **summary(event_type),
        "versions": _versions(event_type),
        "fields": [_shown(name, each, views) for name, each in fields_of(schema).items()],
        "samples": [{"name": name, "data": data} for name, data in samples.items()],
        "json_schema": schema,
    }


def readers(event_type: str, field: str) -> dict[str, Any]:
    """Tell who reads a field of an event version. Raises UnknownContract."""
    known = fields_of(contracts.schema_of(event_type))
    views = {name: fields_of(view) for name, view in contracts.views_of(event_type).items()}
    return {"type": event_type, "field": field, "is_known": field in known, "readers": _reading(views, field)}


def _versions(event_type: str) -> list[str]:
    name = parse_type(event_type)
    return [each for each in contracts.schemas_of(name.service) if parse_type(each)[:2] == name[:2]]


def _shown(name: str, field: Field, views: Mapping[str, Mapping[str, Field]]) -> dict[str, Any]:
    schema: Schema = field.schema
    return {
        "name": name,
        "says": type_in_words(schema),
        "meaning": schema.get("description", ""),
        "unit": schema.get("x-unit"),
        "required": field.required,
        "optional": schema.get("x-optional"),
        "is_sealed": SENSITIVE in schema,
        "readers": _reading(views, name),
    }


def _reading(views: Mapping[str, Mapping[str, Field]], field: str) -> list[str]:
    return [name for name, known in views.items() if reads(dict(known), field)]
