"""What a reader would lose is told by the field and the reason; what it can take is not mentioned."""

from typing import Any

import pytest

from backbone.events.losses import losses

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
    assert [(loss.does, loss.says) for loss in losses(takes, WRITER)] == told


def chain(value: str, **following: Any) -> dict[str, Any]:
    """A schema that refers to itself: a chain of nodes with values of that type."""
    node = reader("value", value={"type": value}, **following)
    return {"$ref": "#/$defs/node", "$defs": {"node": node}}


ONE_MORE = {"$ref": "#/$defs/node"}
PERHAPS = {"anyOf": [ONE_MORE, {"type": "null"}]}


@pytest.mark.parametrize(
    ("following", "told"),
    [
        ({"next": PERHAPS}, ["value", "next.value"]),
        ({"next": {"type": "array", "items": ONE_MORE}}, ["value"]),
        ({"left": PERHAPS, "right": PERHAPS}, ["value", "left.value", "right.value"]),
    ],
    ids=["a list", "a tree of lists", "a tree of two"],
)
def test_what_is_lost_of_a_contract_that_refers_to_itself_is_told_to_its_first_turn(
    following: dict[str, Any], told: list[str]
) -> None:
    found = losses(chain("integer", **following), chain("string", **following))
    types = [(loss.does, loss.says) for loss in found if loss.rule == "type"]
    assert types == [(f"reads {at} as integer", "says string") for at in told]


def test_a_contract_that_refers_to_itself_and_that_nobody_can_decide_on_counts_as_lost() -> None:
    found = losses(chain("string", next=PERHAPS), chain("string", next=PERHAPS))
    assert found == [("next", "undecided", "does not take all of next", "allows more")]


def test_a_node_that_may_be_missing_is_told_though_the_node_itself_is_being_compared() -> None:
    found = losses(chain("string", next=ONE_MORE), chain("string", next=PERHAPS))
    assert found == [("next", "type", "reads next as object", "lets it be null")]
