"""The service that docs/writing-a-service.md builds works as it stands there."""

import importlib
import re
import shutil
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
from deployment.objections import load_services
from deployment.objections import objections as of_all
from local import ROOT
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.things import eventually, running

BLOCK = re.compile(r"^`(\S+/\S+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPLETED = "sliceline.orders.order-completed.v1"
DUE = "sliceline.surveys.survey-due.v1"


@pytest.fixture
def surveys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service[Any]]:
    """The page's service, from files of its blocks beside our own services and contracts."""
    shutil.copytree(contracts.SCHEMAS, tmp_path / "schemas")
    for name, content in BLOCK.findall((ROOT / "docs" / "writing-a-service.md").read_text()):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path / "schemas")
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path / "services")])
    yield importlib.import_module("services.surveys.service").SERVICE
    for name in [name for name in sys.modules if name.startswith("services.surveys")]:
        del sys.modules[name]


def test_its_contracts_are_complete(surveys: Service[Any]) -> None:
    said = of_all({**load_services()[0], surveys.name: surveys})
    assert [each for each in said if surveys.name in each] == []


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


def test_the_page_shows_every_file_of_the_service(surveys: Service[Any]) -> None:
    shown = {name for name, _ in BLOCK.findall((ROOT / "docs" / "writing-a-service.md").read_text())}
    assert {Path(name).name for name in shown} >= {
        "events.py",
        "tables.py",
        "store.py",
        "consumers.py",
        "jobs.py",
        "api.py",
        "service.py",
    }
    assert contracts.schemas_of("surveys") == [DUE]
