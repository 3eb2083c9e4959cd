"""Every service's API, fuzzed from its own OpenAPI description: what it says is what it does, whatever comes."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.config._checks import NEGATIVE_DATA_REJECTION_EXPECTED_STATUSES
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import allow_header_conformance

from backbone.service import Service
from deployment import people
from deployment.catalogue import sample_of, views
from tests.all_services import SERVICES
from tests.conftest import NewDatabase
from tests.documents import document_of
from tests.integration.one_service import fed, serving
from tests.issuing import Issuer, bearing, issuing

PROBLEM = "application/problem+json"
SAMPLE_ORDER = "0193a5c0-8e00-7a3c-9d51-0242ac120002"
KNOWN = {"order": SAMPLE_ORDER, "customer": "ada", "sku": "mcguffin", "item": "margherita", "cart": "ada-1"}
"""What the golden samples and the first migration speak of: with these names an answer has something to tell."""

INEXPRESSIBLE = re.compile(
    r"after|day|name|(unit_price\.|amount\.)?currency|address|customer(\.email)?|Idempotency-Key|threshold|ceiling|(lines|ingredients)\.\d+\.(item|sku)|ingredients"
    r"|contract(\..*)?|secret|url|since|until|pattern(\..*)?|(targets\.\d+\.)?bus|targets\.\d+\.input(\..*)?|(event|data)\..*"
    r"|at|(events|before)\.\d+\..*|items\.\d+\.last|expected|query",
    re.DOTALL,
)
"""The fields about which a description cannot say all, so that a request which fits it may be refused: a cursor that
no page ended with, a currency that is not the shop's, a customer whom a cart does not know, an e-mail address at a
domain that cannot exist, a delivery without an address, a key that came with another body, a ceiling under the
threshold, an item that is not on the menu, a SKU that is not kept or named twice, a day of another millennium, a
contract that is no JSON Schema, a secret of another style, an address that webhooks may not lead to, a moment before
the calendar, a pattern of no kind that there is, a bus that there is not, a shape of no kind, a name
in an event that no text can have, an event that nobody publishes, an order and a SKU at once, a
kind of job that the service has not."""

SHADOWED = "/rules/test"
"""Is a path of /rules/{rule} too, and has its methods; the description tells of each by itself."""

SIGNED = "/partners/{partner}/events"
"""Takes what a partner has signed, and what is agreed with it says how that looks: no description can."""

CONFIG: dict[str, Any] = {
    "seed": 1,
    "suppress-health-check": ["too_slow"],  # a busy machine is no fault of the API
    "generation": {"max-examples": 5, "database": "none", "deterministic": True},
    "checks": {
        # Our own check, below, knows the exceptions.
        "positive_data_acceptance": {"enabled": False},
        # Too many long keys make an address too long before anybody counts them.
        "negative_data_rejection": {"expected-statuses": [*NEGATIVE_DATA_REJECTION_EXPECTED_STATUSES, "413", "414"]},
    },
}

WITH_OPERATIONS = "orders"
"""The backbone's own operations are the same everywhere: they are tried at this one."""
ALWAYS = "loyalty"
"""Fuzzed in every run; the others where there is time."""

EVERYTHING = sorted(people.roles()["admin"] | people.roles()["service"])
AddressOf = Callable[[str], str]
Case = schemathesis.Case[Any]


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in document["paths"].values() for operation in path.values())


def fuzzable(service: Service[Any]) -> Any:
    """The description with examples that exist, and without what another service's shows as well."""
    document = document_of(service)
    for operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["name"] in KNOWN:
                parameter["example"] = KNOWN[parameter["name"]]
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
    if service.name == WITH_OPERATIONS:
        return schema.exclude(path="/orders/{order}/stream")  # it ends when the order does
    return schema.exclude(tag="operations")


@pytest.mark.parametrize("name", SERVICES)
def test_every_error_is_described_as_a_problem(name: str) -> None:
    for operation in operations(document_of(SERVICES[name])):
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"400", "500"} <= errors.keys()
        assert all(list(answer["content"]) == [PROBLEM] for answer in errors.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_says_what_it_is_for(name: str) -> None:
    assert [each["operationId"] for each in operations(document_of(SERVICES[name])) if "description" not in each] == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == ALWAYS else pytest.mark.long) for name in SERVICES]
)
def test_an_operation_does_what_it_says(
    name: str, address_of: AddressOf, issuer: Issuer, subtests: pytest.Subtests
) -> None:
    """Cases are drawn here, not while tests are collected, as schemathesis's `parametrize` does in every process."""
    schema, address = fuzzable(SERVICES[name]), address_of(name)
    load_all_checks()
    for found in schema.get_all_operations():
        operation = found.ok()
        with subtests.test(operation.label):
            build_operation_test(
                config=schema.config,
                operation=operation,
                test_func=conforming(address, bearing(issuer.token("alma", *EVERYTHING))),
                given_kwargs={},
                feedback=FeedbackSources(),
            )()


def conforming(address: str, headers: dict[str, str]) -> Callable[[Case], None]:
    def test(case: Case) -> None:
        response = case.call(base_url=address, headers=headers)
        beyond = [allow_header_conformance] if case.operation.path == SHADOWED else []
        case.validate_response(response, excluded_checks=beyond, headers=headers)
        if response.status_code >= 400:
            assert response.headers["content-type"] == [PROBLEM]
        if fits(case) and response.status_code not in (404, 409):
            assert not unexpected(response), response.text

    return test


def fits(case: Case) -> bool:
    """Whether all of the request is as described; a 0 is what schemathesis sends where it could draw no body."""
    if case.body == 0 or case.operation.path == SIGNED or case.meta is None:
        return False
    return case.meta.generation.mode.is_positive


def unexpected(response: schemathesis.Response) -> list[str]:
    """The fields that a problem names although the description told all about them; none in a success."""
    errors = response.json()["errors"] if response.status_code >= 400 else []
    return [each["field"] for each in errors if not INEXPRESSIBLE.fullmatch(each["field"])]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def address_of(new_database: NewDatabase, issuer: Issuer) -> Iterator[AddressOf]:
    """Gives the address of a service's real application, which is started when first asked for."""
    with ExitStack() as running:

        @cache
        def start(name: str) -> str:
            service, url = SERVICES[name], new_database(name)
            asyncio.run(_happen(service, url))
            return running.enter_context(serving(service, url, issuer=issuer.url))

        yield start


async def _happen(service: Service[Any], url: str) -> None:
    """Let the service hear of everything but the end of an order."""
    types = [view.TYPE for _, view in views({service.name: service})]
    heard = [each for each in types if "cancel" not in each and "reject" not in each]
    async with fed(service, lambda _: url) as reading:
        for event_type in heard:
            await reading.feed((event_type, sample_of(event_type)))
