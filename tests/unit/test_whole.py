"""One rule for whole numbers: what JSON Schema calls an integer is one in bodies, contracts and events."""

from typing import Annotated, Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from backbone.values.fields import WHOLE
from backbone.values.whole import EXACT, all_whole, whole


class Body(BaseModel):
    number: Annotated[int, Field(strict=True, ge=-(10**9), le=10**9), WHOLE]


@pytest.mark.parametrize("written", ["1", "1.0", "1e0", "200", "2e2", "-5.0", "-0.0", "0.1e1", "1E+1", "1.50e1"])
def test_a_number_without_a_fraction_is_whole_however_it_is_written(written: str) -> None:
    found = Body.model_validate_json(f'{{"number": {written}}}').number
    assert (type(found), found) == (int, float(written))


@pytest.mark.parametrize("written", ["1.5", "1e-1", "1e300", "true", '"1"', "null", "[1]", "0.9999999999999999"])
def test_whatever_else_is_none(written: str) -> None:
    with pytest.raises(ValidationError):
        Body.model_validate_json(f'{{"number": {written}}}')


def test_the_document_calls_it_an_integer_with_its_bounds() -> None:
    described = Body.model_json_schema()["properties"]["number"]
    assert (described["type"], described["minimum"], described["maximum"]) == ("integer", -(10**9), 10**9)


@given(st.floats(-(10**9), 10**9) | st.integers(-(10**9), 10**9).map(float) | st.booleans() | st.text())
def test_bodies_and_contracts_agree_about_every_value(value: Any) -> None:
    contract = jsonschema_rs.Draft202012Validator({"type": "integer"}).is_valid(orjson.loads(orjson.dumps(value)))
    try:
        Body.model_validate_json(orjson.dumps({"number": value}))
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == contract


def test_a_float_that_may_have_been_another_number_stays_a_float() -> None:
    assert type(whole(float(EXACT - 1))) is int
    assert [type(whole(value)) for value in (float(EXACT), -float(EXACT), 1e300, float("inf"))] == [float] * 4


def test_all_numbers_of_a_document_are_made_whole_and_nothing_else_is_touched() -> None:
    given_one = {"a": [1.0, {"b": 2.0, "c": 2.5}], "d": True, "e": "1.0", "f": None, "g": 3}
    assert all_whole(given_one) == {"a": [1, {"b": 2, "c": 2.5}], "d": True, "e": "1.0", "f": None, "g": 3}
    assert type(all_whole(given_one)["a"][0]) is int
