"""Every event is of a kind, and has what its kind asks for."""

from typing import Any

import pytest

from backbone.events.contracts import schema_of
from deployment.catalogue import EVENTS
from deployment.kinds import KINDS, OLDER, objections

TEXT, NUMBER, STATE = {"type": "string"}, {"type": "integer"}, {"$ref": "#/$defs/state"}


def schema(kind: str | None, *missing: str, **properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in missing]
    return {"x-kind": kind, "properties": properties, "required": required}


@pytest.mark.parametrize(
    "sound",
    [
        schema("full", order=TEXT, total=NUMBER),
        schema("sparse", order=TEXT, reason={"enum": ["low", "out"]}),
        schema("change", item=TEXT, changed={"type": "array"}, before=STATE, after=STATE),
        schema("change", item=TEXT, after=STATE),
        schema("change", item=TEXT, before=STATE),
    ],
    ids=str,
)
def test_what_is_as_its_kind_asks_is_fine(sound: dict[str, Any]) -> None:
    assert list(objections(sound, "sliceline.bakery.loaf-baked.v1")) == []


@pytest.mark.parametrize(
    ("unsound", "said"),
    [
        (schema(None, order=TEXT), 'should say "x-kind": full, sparse, change'),
        (schema("fat", order=TEXT), 'should say "x-kind"'),
        (schema("sparse", order=TEXT, total=NUMBER, lines={"enum": [1]}), "is sparse, and yet carries total, lines"),
        (schema("full", item=TEXT, before=STATE), "so it is a change"),
        (schema("change", item=TEXT), "should have changed, before and after"),
        (schema("change", item=TEXT, before=STATE, after=STATE), "should have changed, before and after"),
        (schema("change", "before", changed=TEXT, before=STATE, after=STATE), "does not require before"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_is_told(unsound: dict[str, Any], said: str) -> None:
    [found] = objections(unsound, "sliceline.bakery.loaf-changed.v1")
    assert said in found


def test_what_was_released_before_the_rule_is_known_by_name_and_has_a_next_version_that_keeps_it() -> None:
    assert {schema_of(each)["x-kind"] for each in OLDER} == {"change"}
    assert (
        list(objections(schema_of("sliceline.orders.menu-item-changed.v2"), "sliceline.orders.menu-item-changed.v2"))
        == []
    )


def test_the_catalogue_shows_an_example_of_each_kind_and_says_of_each_event_which_it_is() -> None:
    page = EVENTS.read_text()
    for kind, (_, shown) in KINDS.items():
        assert f"**{kind.capitalize()}**: " in page
        event = page.split(f"### {shown.partition('/')[2]}\n")[1].split("###")[0]
        assert f"Kind: {kind}.\n" in event
    assert page.count("\nKind: ") == page.count("\n### ")
