"""The service that docs/writing-a-service.md builds works as it stands there."""

import importlib
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import services
from backbone.context import Context
from backbone.declared import objections
from backbone.events import contracts
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.service import Service
from backbone.settings import Settings
from local import ROOT
from tests.conftest import NewDatabase
from tests.copies import copy_of_the_project, run
from tests.integration.one_service import Fed, fed
from tests.integration.things import running
from tests.waiting import eventually

PAGE = (ROOT / "docs" / "writing-a-service.md").read_text()
BLOCK = re.compile(r"^[^\n]*`(\S+/\S+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = dict(BLOCK.findall(PAGE))
COMPLETED = "sliceline.orders.order-completed.v1"
DUE = "sliceline.surveys.survey-due.v1"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Path:
    """The project after all that the page says."""
    tree = copy_of_the_project(tmp_path_factory.mktemp("page"), postgres)
    [arguments] = re.findall(r"^    \./sliceline (new .+)$", PAGE, re.MULTILINE)
    _succeed(tree, "cli", *arguments.split())
    for gone in re.findall(r"^    rm (.+)$", PAGE, re.MULTILINE):
        for name in gone.split():
            (tree / name).unlink()
    for name, content in BLOCKS.items():
        (tree / name).write_text(content)
    _succeed(tree, "cli", "contracts")
    return tree


def _succeed(tree: Path, *arguments: str) -> None:
    done = run(tree, "-m", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def surveys(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service[Any]]:
    """The page's service, beside our own, with the contracts there."""
    monkeypatch.setattr(contracts, "SCHEMAS", tree / "schemas")
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tree / "services")])
    yield importlib.import_module("services.surveys.service").SERVICE
    for name in [name for name in sys.modules if name.startswith("services.surveys")]:
        del sys.modules[name]


TESTS = ["test_surveys", "test_migrations", "test_problem_kinds"]


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("ruff", "check", "."), id="lint"),
        pytest.param(("ruff", "format", "--check", "."), id="format"),
        pytest.param(
            ("mypy", f"--cache-dir={ROOT / '.mypy_cache'}", "services/surveys", "tests/integration/test_surveys.py"),
            id="types",
        ),
        pytest.param(
            ("pytest", "-q", "tests/unit/test_catalogue.py", "tests/unit/test_contracts.py"),
            id="contracts",
        ),
        pytest.param(
            ("pytest", "-q", "-k", "surveys", *(f"tests/integration/{name}.py" for name in TESTS)),
            id="tests",
        ),
    ],
)
def test_the_page_s_files_pass_what_all_have_to(tree: Path, command: tuple[str, ...]) -> None:
    _succeed(tree, *command)


async def _completed(service: Fed) -> str:
    order = new_id()
    total = {"amount": 2900, "currency": "GBP"}
    await service.feed((COMPLETED, {"order": order, "customer_id": "ada", "total": total}))
    return order


async def _work(service: Fed, order: str) -> None:
    """Make the order's job due now, and let it be done."""
    async with service.database.transaction() as tx:
        due = await tx.raw.fetchval("SELECT due FROM jobs WHERE key = $1", order)
        await tx.raw.execute("UPDATE jobs SET due = now() WHERE key = $1", order)
    assert abs(due - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
    context = Context(Settings(database_url="postgresql://nowhere/nothing"), service.database)
    async with running(*(Worker(kind, work, context) for kind, work in service.service.jobs.items())):
        await eventually(lambda: _has_published(service, order))


async def _has_published(service: Fed, order: str) -> bool:
    return bool(await service.published(order))


async def test_a_customer_is_asked_a_day_later(surveys: Service[Any], new_database: NewDatabase) -> None:
    async with fed(surveys, new_database) as service:
        order = await _completed(service)
        assert await service.published(order) == []
        await _work(service, order)
        asked = {"order": order, "customer_id": "ada", "reminder": None}
        assert await service.published(order) == [(DUE, asked)]
        assert (await service.client.get(f"/surveys/{order}")).json() == {"order": order, "stars": None}


async def test_whoever_has_said_how_it_was_is_not_asked(surveys: Service[Any], new_database: NewDatabase) -> None:
    async with fed(surveys, new_database) as service:
        order = await _completed(service)
        said = await service.client.put(f"/surveys/{order}", json={"stars": 5})
        assert (said.status_code, said.json()) == (200, {"order": order, "stars": 5})
        async with service.database.transaction() as tx:
            assert await tx.raw.fetchval("SELECT count(*) FROM jobs") == 0
        assert (await service.client.get(f"/surveys/{order}")).json()["stars"] == 5


async def test_what_is_refused_is_a_problem(surveys: Service[Any], new_database: NewDatabase) -> None:
    async with fed(surveys, new_database) as service:
        order = await _completed(service)
        answers = [
            await service.client.put(f"/surveys/{order}", json={"stars": 6}),
            await service.client.put(f"/surveys/{new_id()}", json={"stars": 5}),
            await service.client.get(f"/surveys/{new_id()}"),
        ]
        assert [answer.status_code for answer in answers] == [422, 404, 404]
        assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


def test_what_it_reads_and_publishes_has_contracts(surveys: Service[Any]) -> None:
    assert objections(surveys) == []


def test_the_page_shows_every_file_of_the_service(surveys: Service[Any], tree: Path) -> None:
    files = {path.relative_to(tree).as_posix() for path in (tree / "services" / "surveys").rglob("*.py")}
    assert files <= BLOCKS.keys()
    assert contracts.schemas_of("surveys") == ["sliceline.surveys.acts-recorded.v1", DUE]
