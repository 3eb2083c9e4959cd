"""What a target gets of an event."""

from typing import Any

import pytest

from services.router.shaping import BadShape, check, shaped

EVENT = {
    "id": "e1",
    "type": "t",
    "data": {
        "order": "o1",
        "note": None,
        "total": {"amount": 2400, "currency": "GBP"},
        "lines": [{"item": "a", "quantity": 1}, {"item": "b"}],
        "empty": [],
    },
}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (None, EVENT),
        ({"pick": ["id"]}, {"id": "e1"}),
        ({"pick": ["data.order", "data.total.amount"]}, {"data": {"order": "o1", "total": {"amount": 2400}}}),
        ({"pick": ["data.total"]}, {"data": {"total": {"amount": 2400, "currency": "GBP"}}}),
        (
            {"pick": ["data.lines.item", "data.lines.quantity"]},
            {"data": {"lines": {"item": ["a", "b"], "quantity": [1]}}},
        ),
        ({"pick": ["data.nothing", "nothing.at.all", "id.deeper"]}, {}),
        ({"pick": ["data.note"]}, {"data": {"note": None}}),
        ({"fixed": {"a": ["{id}"]}}, {"a": ["{id}"]}),
        ({"fixed": None}, None),
        ({"template": {"id": "{id}", "n": [1, True, None]}}, {"id": "e1", "n": [1, True, None]}),
        ({"template": "{data.total}"}, {"amount": 2400, "currency": "GBP"}),
        ({"template": "{data.total.amount}"}, 2400),
        ({"template": "costs {data.total.amount} {data.total.currency}"}, "costs 2400 GBP"),
        ({"template": "all: {data.total}, {data.note}"}, 'all: {"amount":2400,"currency":"GBP"}, null'),
        ({"template": "{data.nothing}"}, None),
        ({"template": "<{data.nothing}>"}, "<>"),
        ({"template": "{{id}} is {id}"}, "{id} is e1"),
        ({"template": "{{"}, "{"),
        ({"template": "{data.lines.item}"}, ["a", "b"]),
    ],
)
def test_a_shape_makes_of_an_event_what_it_says(shape: Any, expected: Any) -> None:
    if shape is not None:
        check(shape)
    assert shaped(shape, EVENT) == expected


def test_what_one_path_picks_is_not_taken_away_by_a_longer_one() -> None:
    picked = shaped({"pick": ["data.total", "data.total.amount", "data.order"]}, EVENT)
    assert picked == {"data": {"total": EVENT["data"]["total"], "order": "o1"}}  # type: ignore[index]
    assert EVENT["data"]["total"] == {"amount": 2400, "currency": "GBP"}  # type: ignore[index]


@pytest.mark.parametrize("paths", [["data.order", "data.order.x"], ["data.order.x", "data.order"]])
def test_paths_that_lead_through_a_value_pick_what_there_is(paths: list[str]) -> None:
    assert shaped({"pick": paths}, EVENT) == {"data": {"order": "o1"}}


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ({}, ""),
        ({"pick": ["id"], "fixed": 1}, ""),
        ({"choose": ["id"]}, ""),
        ({"pick": "id"}, "pick"),
        ({"pick": []}, "pick"),
        ({"pick": ["id", ""]}, "pick[1]"),
        ({"pick": ["a..b"]}, "pick[0]"),
        ({"pick": ["a b"]}, "pick[0]"),
        ({"template": {"a": {"b": ["ok", "{id"]}}}, "template.a.b[1]"),
        ({"template": "id}"}, "template"),
        ({"template": "{}"}, "template"),
        ({"template": "{a b}"}, "template"),
        ({"template": "{a.}"}, "template"),
    ],
)
def test_a_bad_shape_is_refused_with_the_place(shape: Any, place: str) -> None:
    with pytest.raises(BadShape) as refused:
        check(shape)
    assert refused.value.place == place
