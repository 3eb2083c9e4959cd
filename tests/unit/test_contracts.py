"""Every contract: well-formed, held by its samples, kept by its writer and wide enough for each of its readers."""

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import services
from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.compatibility import closed, takes_all
from backbone.events.contracts import SCHEMAS, ContractBroken, UnknownContract, check, schema_of, schemas_of
from backbone.events.envelope import parse_type
from backbone.events.payload import Payload

PLACED = "sliceline.orders.order-placed.v1"
ROOM_FOR_COMPOSITION = {"allOf", "if", "then", "else", "not", "oneOf", "dependentSchemas", "patternProperties"}

types = [event_type for service in services.CATALOGUE for event_type in schemas_of(service)]
samples = sorted(SCHEMAS.glob("*/samples/*.json"))
wrong_samples = sorted(SCHEMAS.glob("*/samples/invalid/*.json"))


def type_of(sample: Path) -> str:
    """`orders/samples/order-placed.v1.collection.json` -> `sliceline.orders.order-placed.v1`."""
    service = sample.relative_to(SCHEMAS).parts[0]
    event, version, *_ = sample.name.split(".")
    return f"sliceline.{service}.{event}.{version}"


def named(sample: Path) -> str:
    return str(sample.relative_to(SCHEMAS))


def payloads() -> list[tuple[str, type[Payload]]]:
    """Every payload that some service writes or reads, with the name of that service."""
    names = [file.parent.name for file in sorted(Path(*services.__path__).glob("*/events.py"))]
    modules = [(name, importlib.import_module(f"services.{name}.events")) for name in names]
    classes = [(name, each) for name, module in modules for each in vars(module).values()]
    return [(name, each) for name, each in classes if isinstance(each, type) and hasattr(each, "TYPE")]


def spelled(payload: tuple[str, type[Payload]]) -> str:
    return f"{payload[0]}-{payload[1].__name__}"


written = [each for each in payloads() if parse_type(each[1].TYPE).service == each[0]]
read = [each for each in payloads() if parse_type(each[1].TYPE).service != each[0]]


@pytest.mark.parametrize("event_type", types)
def test_a_schema_names_and_describes_itself(event_type: str) -> None:
    schema = schema_of(event_type)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == contracts.id_of(event_type)
    assert schema["title"] == event_type
    assert schema["description"].endswith(".")
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize("event_type", types)
def test_a_schema_stays_open_and_composes_by_reference_only(event_type: str) -> None:
    text = json.dumps(schema_of(event_type))
    assert '"additionalProperties"' not in text
    assert not [keyword for keyword in ROOM_FOR_COMPOSITION if f'"{keyword}": ' in text]


@pytest.mark.parametrize("sample", samples, ids=named)
def test_a_golden_sample_keeps_its_contract(sample: Path) -> None:
    check(type_of(sample), sample.read_bytes())
    check(type_of(sample), json.loads(sample.read_bytes()))


@pytest.mark.parametrize("sample", samples, ids=named)
def test_a_field_nobody_knows_yet_is_tolerated(sample: Path) -> None:
    check(type_of(sample), {**json.loads(sample.read_bytes()), "since_next_year": True})


@pytest.mark.parametrize("sample", wrong_samples, ids=named)
def test_a_wrong_sample_breaks_its_contract_in_the_one_place_its_name_says(sample: Path) -> None:
    with pytest.raises(ContractBroken) as broken:
        check(type_of(sample), sample.read_bytes())
    assert len(broken.value.errors) == 1


@pytest.mark.parametrize("event_type", types)
def test_every_contract_has_samples_both_ways(event_type: str) -> None:
    assert event_type in map(type_of, samples)
    assert event_type in map(type_of, wrong_samples)


def test_no_sample_is_without_a_contract() -> None:
    assert {type_of(sample) for sample in samples + wrong_samples} == set(types)


@pytest.mark.parametrize("payload", written, ids=spelled)
def test_a_writer_says_just_what_its_schema_names(payload: tuple[str, type[Payload]]) -> None:
    _, writes = payload
    schema, fields = schema_of(writes.TYPE), msgspec.structs.fields(writes)
    assert {field.name for field in fields} == set(schema["properties"])
    sometimes = {field.name for field in fields if "UnsetType" in str(field.type)}
    assert not sometimes & set(schema["required"])


@pytest.mark.parametrize("payload", written, ids=spelled)
def test_a_writer_and_its_golden_sample_agree(payload: tuple[str, type[Payload]]) -> None:
    service, writes = payload
    sample = (SCHEMAS / service / "samples" / Path(contracts.dataschema(writes.TYPE)).name).read_bytes()
    said = msgspec.json.encode(msgspec.json.decode(sample, type=writes))
    assert json.loads(said) == json.loads(sample)


@pytest.mark.parametrize("payload", read, ids=spelled)
def test_a_reader_takes_whatever_the_contract_allows(payload: tuple[str, type[Payload]]) -> None:
    _, reads = payload
    assert takes_all(contracts.consumer_schema(reads), schema_of(reads.TYPE))


def test_every_contract_has_a_writer() -> None:
    assert {writes.TYPE for _, writes in written} == set(types)


def test_schemas_are_listed_by_name_then_by_version() -> None:
    orders = schemas_of("orders")
    first = ("menu-item-added.v1", "menu-item-changed.v1", "menu-item-changed.v2", "menu-item-retired.v1")
    assert orders[2:6] == [f"sliceline.orders.{name}" for name in first]
    assert orders[6:9] == [f"sliceline.orders.{name}" for name in ("order-backordered.v1", *orders_after())]
    assert schemas_of("nobody") == []


def orders_after() -> tuple[str, str]:
    return "order-cancellation-requested.v1", "order-cancelled.v1"


@pytest.mark.parametrize(
    "unknown", ["sliceline.orders.order-eaten.v1", "sliceline.orders.order-placed.v99", "../x", ""]
)
def test_a_type_without_a_schema_is_unknown(unknown: str) -> None:
    with pytest.raises(UnknownContract):
        schema_of(unknown)
    with pytest.raises(UnknownContract):
        check(unknown, b"{}")


def test_what_is_broken_is_named_by_its_path_and_shown_to_nobody() -> None:
    placed = json.loads((SCHEMAS / "orders/samples/order-placed.v1.json").read_bytes())
    placed["lines"][1]["quantity"] = 0
    placed["customer"]["email"] = "secret"
    with pytest.raises(ContractBroken) as broken:
        check(PLACED, placed)
    assert {path for path, _ in broken.value.errors} == {"lines.1.quantity", "customer.email"}
    assert "secret" not in str(broken.value)
    assert isinstance(broken.value, SlicelineError)


@pytest.mark.parametrize(
    ("field", "value", "errors"),
    [
        ("name", "", ["the value is shorter than 1 character"]),
        ("name", "secret" * 40, ["the value is longer than 200 characters"]),
        ("name", ["secret"], ['the value is not of type "string"']),
        ("email", "secret", ['the value does not match "^[^@\\s]+@[^@\\s]+$"']),
    ],
    ids=["empty", "long", "list", "mail"],
)
def test_a_broken_field_that_may_be_sealed_is_held_against_its_own_limits(
    field: str, value: object, errors: list[str]
) -> None:
    placed = json.loads((SCHEMAS / "orders/samples/order-placed.v1.json").read_bytes())
    placed["customer"][field] = value
    with pytest.raises(ContractBroken) as broken:
        check(PLACED, placed)
    assert broken.value.errors == [(f"customer.{field}", message) for message in errors]
    assert "secret" not in str(broken.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"NaN", b'"\\ud800"', b"[" * 5000, b"null", b"[]", {1: 2}, {"order": object()}, "\ud800"],
    ids=lambda data: repr(data)[:20],
)
def test_whatever_is_no_event_breaks_the_contract_and_nothing_else(data: object) -> None:
    with pytest.raises(ContractBroken):
        check(PLACED, data)


def test_a_long_list_of_errors_is_cut() -> None:
    lines: list[dict[str, Any]] = [{} for _ in range(400)]
    with pytest.raises(ContractBroken) as broken:
        check(PLACED, {"lines": lines})
    assert len(broken.value.errors) == 20


def test_a_consumer_s_schema_stands_alone_and_is_stable() -> None:
    schema = contracts.consumer_schema(dict(read_by("orders"))["sliceline.inventory.stock-rejected.v1"])
    assert schema["properties"]["short"]["items"] == {"$ref": "#/$defs/Shortage"}
    assert list(schema) == sorted(schema)
    assert "Shortage" in schema["$defs"]


def read_by(service: str) -> list[tuple[str, type[Payload]]]:
    return [(reads.TYPE, reads) for name, reads in read if name == service]


WRITER = {
    "type": "object",
    "required": ["order", "lines"],
    "properties": {
        "order": {"type": "string", "minLength": 1, "maxLength": 64},
        "note": {"type": "string"},
        "kind": {"enum": ["low", "out"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["quantity"],
            "properties": {"quantity": {"type": "integer", "minimum": 1}, "sku": {"type": "string"}},
        }
    },
}


def reader(required: list[str], **properties: Any) -> contracts.Schema:
    return {"type": "object", "required": required, "properties": properties}


@pytest.mark.parametrize(
    "takes",
    [
        WRITER,
        reader([]),
        reader(["order"], order={"type": "string"}),
        reader(["order"], order={"type": ["string", "null"]}, unheard_of={"type": "string"}),
        reader([], kind={"enum": ["low", "out", "over"]}),
        reader(["lines"], lines={"type": "array", "items": reader(["quantity"], quantity={"type": "integer"})}),
        reader([], lines={"type": "array", "items": reader([], quantity={"type": "number"}, unit={"type": "string"})}),
    ],
    ids=str,
)
def test_a_reader_that_takes_as_much_or_more_is_compatible(takes: contracts.Schema) -> None:
    assert takes_all(takes, WRITER)


@pytest.mark.parametrize(
    "takes",
    [
        reader(["note"], note={"type": "string"}),
        reader(["unheard_of"]),
        reader([], order={"type": "integer"}),
        reader([], order={"type": "string", "maxLength": 36}),
        reader([], order={"type": "string", "pattern": "^[0-9a-f]+$"}),
        reader([], kind={"enum": ["low"]}),
        reader([], lines={"type": "array", "items": reader(["sku"])}),
        reader([], lines={"type": "array", "minItems": 1}),
        reader([], lines={"type": "array", "items": reader([], quantity={"type": "integer", "maximum": 10})}),
        {**reader([], order={"type": "string"}), "additionalProperties": False},
    ],
    ids=str,
)
def test_a_reader_that_would_refuse_something_is_not(takes: contracts.Schema) -> None:
    assert not takes_all(takes, WRITER)


def test_closing_a_schema_reaches_nested_objects_and_spares_data() -> None:
    schema = {**WRITER, "examples": [{"properties": {}}]}
    shut = closed(schema)
    assert shut["additionalProperties"] is False
    assert shut["$defs"]["line"]["additionalProperties"] is False
    assert shut["examples"] == schema["examples"]
    assert "additionalProperties" not in schema


def test_what_events_carry_as_dataschema_begins_with_the_address_at_which_schemas_are_served() -> None:
    event_type = "sliceline.orders.order-placed.v1"
    assert contracts.dataschema(event_type) == contracts.id_of(event_type)
    contracts.serve_from("http://127.0.0.1:8009/catalogue/")
    try:
        served = contracts.dataschema(event_type)
    finally:
        contracts.serve_from(contracts.ORIGIN)
    assert served == "http://127.0.0.1:8009/catalogue/schemas/orders/order-placed.v1.json"
    assert contracts.id_of(event_type) == contracts.dataschema(event_type)
