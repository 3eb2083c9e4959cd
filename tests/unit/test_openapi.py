"""The OpenAPI documents, as a validator, a generator of clients and their users take them."""

import re
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from functools import cache
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

from backbone.http.permissions import open_to_all
from backbone.service import Service
from backbone.settings import Settings
from tests.all_services import SERVICES
from tests.documents import document_of

Operation = dict[str, Any]
router = APIRouter()


class Item(BaseModel):
    name: str


@router.get("/events", response_class=EventSourceResponse)
@open_to_all("It is a test's.")
async def follow_items() -> AsyncIterator[Item]:
    """A stream whose events are items."""
    yield Item(name="one")


@router.get("/lines")
@open_to_all("It is a test's.")
async def list_lines() -> AsyncIterable[Item]:
    """A stream of lines of JSON."""
    yield Item(name="one")


STREAMING = Service("streaming", Settings, router)


@cache
def document(name: str) -> dict[str, Any]:
    return document_of(SERVICES.get(name, STREAMING))


def operations(name: str) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in document(name)["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def members(value: Any) -> Iterator[str]:
    """Every name of a member, anywhere inside."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from members(inner)


@pytest.mark.parametrize("name", [*SERVICES, "streaming"])
def test_every_document_is_valid_openapi(name: str) -> None:
    from openapi_spec_validator import validate

    validate(document(name))
    assert "itemSchema" not in set(members(document(name)))


def test_a_stream_is_described_as_text_of_its_media_type() -> None:
    streams = {"/events": "text/event-stream", "/lines": "application/jsonl"}
    for path, media_type in streams.items():
        content = document("streaming")["paths"][path]["get"]["responses"]["200"]["content"]
        assert content[media_type]["schema"]["type"] == "string"
    followed = document("orders")["paths"]["/orders/{order}/stream"]["get"]["responses"]["200"]["content"]
    assert followed["text/event-stream"]["schema"]["type"] == "string"


@pytest.mark.parametrize("name", SERVICES)
def test_operation_ids_make_good_method_names(name: str) -> None:
    ids = Counter(operation["operationId"] for _, _, operation in operations(name))
    assert set(ids.values()) == {1}
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)+", each)] == []
    assert {"check_liveness", "check_readiness", "get_metrics", "list_jobs"} <= ids.keys()


def test_orders_are_placed_by_place_order() -> None:
    assert document("orders")["paths"]["/orders"]["post"]["operationId"] == "place_order"
    assert document("kitchen")["paths"]["/tickets/{order}/baked"]["post"]["operationId"] == "mark_ticket_baked"


@pytest.mark.parametrize("name", SERVICES)
def test_every_tag_is_described_and_every_operation_tagged_once(name: str) -> None:
    described = {tag["name"]: tag["description"] for tag in document(name)["tags"]}
    assert all(described.values())
    assert {tag for _, _, operation in operations(name) for tag in operation["tags"]} == described.keys()
    assert {len(operation["tags"]) for _, _, operation in operations(name)} == {1}


@pytest.mark.parametrize("name", SERVICES)
def test_a_document_names_server_contact_and_license(name: str) -> None:
    told = document(name)
    assert told["servers"][0]["url"] == "/"
    assert told["info"]["contact"]["name"]
    assert told["info"]["license"]["identifier"] == "Apache-2.0"


@pytest.mark.parametrize("name", SERVICES)
def test_headers_of_responses_are_described(name: str) -> None:
    for _, _, operation in operations(name):
        for status, response in operation["responses"].items():
            assert "X-Correlation-Id" in response["headers"]
            assert "Retry-After" in response["headers"] or status not in ("429", "503")
            assert ("Accept" in response["headers"]) == (status == "415")


def test_accepting_an_order_tells_its_location_and_of_replays() -> None:
    accepted = document("orders")["paths"]["/orders"]["post"]["responses"]["202"]
    assert accepted["headers"].keys() == {"X-Correlation-Id", "Idempotency-Replayed", "Location", "Retry-After"}
    cancelled = document("orders")["paths"]["/orders/{order}/cancel"]["post"]["responses"]["202"]
    assert cancelled["headers"].keys() == accepted["headers"].keys()
    adjusted = document("inventory")["paths"]["/stock/{sku}/adjustments"]["post"]["responses"]["200"]
    assert adjusted["headers"].keys() == {"X-Correlation-Id", "Idempotency-Replayed"}


@pytest.mark.parametrize("name", [*SERVICES, "streaming"])
def test_no_component_is_described_in_vain(name: str) -> None:
    said = str(document(name))
    for kind, components in document(name)["components"].items():
        if kind == "securitySchemes":  # named where it is used, and not referred to
            assert components.keys() == {scheme for _, _, each in operations(name) for scheme in _schemes(each)}
            continue
        assert [each for each in components if f"#/components/{kind}/{each}'" not in said] == []


def _schemes(operation: Operation) -> set[str]:
    return {scheme for each in operation["security"] for scheme in each}


IGNORING = {"Told"}
"""An event as CloudEvents' JSON has it, which may have more attributes: of it nothing is stored."""


@pytest.mark.parametrize("name", SERVICES)
def test_no_body_takes_a_field_that_is_not_described(name: str) -> None:
    """Or somebody sets by a body what is only for others to set (mass assignment)."""
    taken = [each["requestBody"]["content"] for _, _, each in operations(name) if "requestBody" in each]
    schemas = [content["schema"] for contents in taken for content in contents.values()]
    assert schemas
    opened = [each for schema in schemas for each in objects(name, schema) if each.get("additionalProperties", True)]
    assert {each["title"] for each in opened if "properties" in each} <= IGNORING


def objects(name: str, schema: Any, seen: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """Every schema of an object, anywhere in what a body may hold."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(name, each, seen)
    elif isinstance(schema, dict):
        if (reference := schema.get("$ref")) and reference not in seen:
            yield from objects(
                name, document(name)["components"]["schemas"][reference.rpartition("/")[2]], seen | {reference}
            )
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects(name, inner, seen)
