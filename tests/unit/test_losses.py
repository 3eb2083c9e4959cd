"""What a reader would lose is told by the field and the reason; what it can take is not mentioned."""

from typing import Any

import pytest

from backbone.losses import losses

WRITER = {
    "type": "object",
    "required": ["order", "lines", "customer"],
    "properties": {
        "order": {"type": "string", "minLength": 1, "maxLength": 64},
        "note": {"type": "string"},
        "kind": {"enum": ["low", "out"]},
        "table": {"type": ["integer", "null"]},
        "customer": {"$ref": "#/$defs/customer"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {
        "customer": {"type": "object", "required": ["name"], "properties": {"id": {"type": "string"}, "name": {}}},
        "line": {
            "type": "object",
            "required": ["sku"],
            "properties": {"sku": {"type": "string"}, "of": {"type": "number"}},
        },
    },
}


def reader(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        (reader("order", order={"type": "string"}), []),
        (reader(kind={"enum": ["low", "out", "over"]}, unheard_of={"type": "string"}), []),
        (reader("note"), [("needs note", "lets it be missing")]),
        (reader("courier"), [("needs courier", "has no such field")]),
        (reader(customer=reader("id")), [("needs customer.id", "lets it be missing")]),
        (reader(lines={"type": "array", "items": reader("of")}), [("needs lines[].of", "lets it be missing")]),
        (reader(order={"type": "integer"}), [("reads order as integer", "says string")]),
        (reader(table={"type": "integer"}), [("reads table as integer", "lets it be null")]),
        (
            reader(table={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            [("reads table as string or null", "says integer")],
        ),
        (reader(kind={"enum": ["low"]}), [('does not know the kind "out"', "allows it")]),
        (reader(note={"enum": ["hot"]}), [('knows only "hot" of note', "allows any other")]),
        (reader(order={"type": "string", "maxLength": 36}), [("wants maxLength 36 of order", "does not promise it")]),
        (
            reader(lines={"type": "array", "items": reader(of={"type": "integer"})}),
            [("reads lines[].of as integer", "says number")],
        ),
        ({**reader(), "additionalProperties": False}, [("does not take all of the data", "allows more")]),
        (reader("note", "courier"), [("needs note", "lets it be missing"), ("needs courier", "has no such field")]),
    ],
    ids=str,
)
def test_what_is_lost_is_told_by_field_and_reason(takes: dict[str, Any], told: list[tuple[str, str]]) -> None:
    assert losses(takes, WRITER) == told
