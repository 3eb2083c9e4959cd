"""What is said of an event in a sentence: every brace is a field that is always there, and none is about a person."""

import json
from typing import Any

import pytest

from backbone.events.contracts import SCHEMAS, schema_of, schemas_of
from services import CATALOGUE
from services.ledger.sentences import FIELD, KEYWORD, sentence

TYPES = [event_type for service in CATALOGUE for event_type in schemas_of(service)]
TOLD = [each for each in TYPES if KEYWORD in schema_of(each)]
ABOUT_ORDERS = [each for each in TYPES if "order" in schema_of(each)["required"]]
PERSONAL = {"customer", "customer_id", "address", "recipient", "email", "name", "by", "note", "text"}
FREE_TEXT = {"orders.order-cancelled.v1", "orders.order-cancellation-requested.v1", "orders.order-refunded.v1"}
SAMPLES = [
    (each, sample)
    for each in TOLD
    for sample in sorted(SCHEMAS.glob(f"{each.split('.')[1]}/samples/{each.split('.', 2)[2]}*.json"))
]


def leads_to(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of a field; every step to it has to be required."""
    inner = schema
    for name in path.split("."):
        assert name in inner["required"], path
        inner = inner["properties"][name]
        if reference := inner.get("$ref"):
            inner = schema["$defs"][reference.rpartition("/")[2]]
    return inner


@pytest.mark.parametrize("event_type", ABOUT_ORDERS)
def test_every_event_of_an_order_is_told_in_a_sentence(event_type: str) -> None:
    assert event_type in TOLD


@pytest.mark.parametrize("event_type", TOLD)
def test_a_sentence_names_fields_that_are_always_there_and_nothing_personal(event_type: str) -> None:
    schema = schema_of(event_type)
    said = schema[KEYWORD]
    assert not set("{}") & set(FIELD.sub("", said))
    for path in FIELD.findall(said):
        kind = leads_to(schema, path).get("type", "text")
        assert "null" not in kind
        assert not PERSONAL & set(path.split("."))
        assert path != "reason" or event_type.removeprefix("sliceline.") not in FREE_TEXT


@pytest.mark.parametrize(("event_type", "sample"), SAMPLES, ids=[sample.name for _, sample in SAMPLES])
def test_a_sample_is_told_without_a_brace_and_without_its_customer(event_type: str, sample: Any) -> None:
    data = json.loads(sample.read_bytes())
    said = sentence(event_type, data)
    assert "{" not in said
    assert "nothing" not in said.split() or "nothing" in schema_of(event_type)[KEYWORD]
    customer = data.get("customer") or {}
    assert not [each for each in (customer.get("name"), customer.get("email")) if each and each in said]


def test_money_is_written_as_people_do_and_goods_are_counted() -> None:
    lines = [{"item": "margherita", "quantity": 2}, {"item": "cola", "quantity": 1}]
    data = {"order": "7", "lines": lines, "total": {"amount": 2400, "currency": "GBP"}}
    said = sentence("sliceline.orders.order-placed.v1", data)
    assert said == "The order 7 was placed: 2 margherita, 1 cola, for 24.00 GBP."
    many = sentence("sliceline.inventory.stock-reserved.v1", {"order": "7", "lines": [{"sku": "a", "quantity": 1}] * 8})
    assert many.endswith("1 a, 1 a, 1 a, 1 a, 1 a, 3 more.")


def test_what_no_contract_describes_is_told_by_its_type() -> None:
    assert sentence("com.example.thing", {"order": 1}) == "com.example.thing"
    assert sentence("sliceline.orders.order-cancelled.v9", None) == "sliceline.orders.order-cancelled.v9"
