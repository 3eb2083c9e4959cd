"""Each service that an order does not pass may go: nobody imports it, and nothing that others read objects."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from deployment.objections import absences, objections
from local import ROOT
from services import CATALOGUE
from tests.all_services import SERVICES
from tests.processes import BESIDE, ORDER_FLOW

OTHERS = ("backbone", "services", "deployment", "local", "sandbox", "cli", "examples")
MADE_FOR_IT = {"webhooks": {"cli/webhooks.py"}}
"""Commands that are about one service alone, and go with it."""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}." for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (f"{each.name}." for each in node.names)


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of services."""
    return {
        str(file.relative_to(ROOT)): {each for each in imported(file) if each.startswith("services.")}
        for folder in OTHERS
        for file in (ROOT / folder).rglob("*.py")
    }


def test_an_order_passes_services_that_there_are() -> None:
    assert {*ORDER_FLOW} < CATALOGUE.keys()


@pytest.mark.parametrize("service", BESIDE)
def test_nobody_imports_a_service_that_may_go(service: str) -> None:
    others = {file: names for file, names in imports().items() if not file.startswith(f"services/{service}/")}
    found = {file for file, names in others.items() if any(each.startswith(f"services.{service}.") for each in names)}
    assert found == MADE_FOR_IT.get(service, set())


@pytest.mark.parametrize("service", BESIDE)
def test_the_contracts_of_all_others_hold_without_it(service: str) -> None:
    assert objections({name: each for name, each in SERVICES.items() if name != service}) == []


def test_who_reads_what_nobody_publishes_any_more_is_told() -> None:
    assert absences(SERVICES) == []
    assert absences({name: each for name, each in SERVICES.items() if name != "reviews"}) == [
        "loyalty reads case-resolved, which no service here publishes: there is no reviews.",
        "notifications reads review-analysed, which no service here publishes: there is no reviews.",
    ]
