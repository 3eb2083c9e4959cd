"""Every problem that code can raise is described where its `type` leads to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backbone.application import create_application
from backbone.context import Context
from backbone.http.problems import type_of
from backbone.http.routes.kinds import KINDS
from backbone.storage.database import Database
from local import ROOT
from tests.all_services import SERVICES
from tests.issuing import SOMEBODY, by


def raised_in(folder: Path) -> Iterator[str]:
    """The titles of the problems that the code of a folder makes."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Name("Problem"), [_, ast.Constant(title), *_]) | ast.Call(
                    ast.Attribute(ast.Call(ast.Name("super")), "__init__"),
                    [ast.Constant(int()), ast.Constant(title), *_],
                ):
                    yield str(title)


async def asked(name: str, *paths: str) -> list[httpx.Response]:
    service = SERVICES[name]
    url = "postgresql://nobody@127.0.0.1:9/nothing"
    context = Context(service.settings(database_url=url), Database(url, name))
    transport = httpx.ASGITransport(create_application(service, context))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        return [await client.get(path) for path in paths]


def test_every_problem_of_the_backbone_is_described() -> None:
    titles = set(raised_in(ROOT / "backbone"))
    assert {"Malformed request", "Too many requests", "Headers too large"} <= titles <= KINDS.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_every_problem_of_a_service_is_described_and_no_other(name: str) -> None:
    assert set(raised_in(ROOT / "services" / name)) == SERVICES[name].problems.keys()


@pytest.mark.parametrize("name", SERVICES)
async def test_the_type_of_every_problem_leads_to_what_it_means(name: str) -> None:
    titles = [*KINDS, *SERVICES[name].problems]
    for title, answer in zip(titles, await asked(name, *map(type_of, titles)), strict=True):
        assert answer.status_code == 200
        assert answer.json()["type"] == type_of(title)
        assert answer.json()["title"] == title
        assert answer.json()["meaning"].endswith(".")


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("orders", "/nowhere", 404),
        ("orders", "/orders?limit=0", 422),
        ("orders", "/orders?status=%FF", 400),
        ("orders", "/orders/x/cancel", 405),
        ("inventory", "/stock/dough", 503),
        ("kitchen", "/problems/bad-weather", 404),
    ],
)
async def test_a_problem_can_be_looked_up_by_what_it_says(name: str, path: str, status: int) -> None:
    (problem,) = await asked(name, path)
    assert problem.status_code == status
    (described,) = await asked(name, problem.json()["type"])
    assert (described.status_code, described.json()["title"]) == (200, problem.json()["title"])


async def test_the_kinds_of_problems_are_listed() -> None:
    (listed,) = await asked("orders", "/problems")
    titles = {each["title"] for each in listed.json()["problems"]}
    assert titles == KINDS.keys() | SERVICES["orders"].problems.keys()
    assert {"No such order", "Too late to cancel", "Item exists", "Refund too large"} <= titles
