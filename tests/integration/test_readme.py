"""The listener that the README adds works as it stands there."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services
from backbone.declared import objections
from backbone.events import contracts
from backbone.ids import new_id
from backbone.service import Service
from local import ROOT
from tests.conftest import NewDatabase
from tests.copies import copy_of_the_project, run
from tests.integration.one_service import fed

SECTION = (ROOT / "README.md").read_text().split("## Add a listener\n")[1].split("\n## ")[0]
COMMANDS = [line.split() for line in re.findall(r"^    \./sliceline (.+)$", SECTION, re.MULTILINE)]
PATCHES = re.findall(r"^```diff\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Path:
    """The project after what the README says until the service is to be started."""
    tree = copy_of_the_project(tmp_path_factory.mktemp("readme"), postgres)
    _succeed(tree, COMMANDS[0])
    for patch in PATCHES:
        subprocess.run(["git", "apply", "-"], cwd=tree, input=patch, text=True, check=True)
    return tree


def _succeed(tree: Path, command: list[str]) -> None:
    name, *arguments = command
    module = ("pytest", "-q") if name == "test" else ("cli", name)
    done = run(tree, "-m", *module, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def listener(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service[Any]]:
    """The README's service, beside our own, with the contracts there."""
    monkeypatch.setattr(contracts, "SCHEMAS", tree / "schemas")
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tree / "services")])
    yield importlib.import_module("services.bestsellers.service").SERVICE
    for name in [name for name in sys.modules if name.startswith("services.bestsellers")]:
        del sys.modules[name]


async def test_the_listener_of_the_readme_counts_what_sells(listener: Service[Any], new_database: NewDatabase) -> None:
    assert objections(listener) == []
    async with fed(listener, new_database) as bestsellers:
        confirmed = bestsellers.record("sliceline.orders.order-confirmed.v2", order_of(("margherita", 2), ("cola", 1)))
        await bestsellers.deliver(confirmed)
        await bestsellers.deliver(confirmed)  # it may come twice, and counts once
        await bestsellers.feed(("sliceline.orders.order-confirmed.v2", order_of(("margherita", 3))))
        sold = (await bestsellers.client.get("/bestsellers")).json()["items"]
    assert sold == [{"name": "cola", "total": 1}, {"name": "margherita", "total": 5}]


@pytest.mark.long
def test_the_commands_that_check_the_listener_find_nothing(tree: Path) -> None:
    assert [name for name, *_ in COMMANDS] == ["new", "contracts", "test", "up", "psql"]
    for command in COMMANDS[1:3]:
        _succeed(tree, command)
    for check in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["pytest", "-q", "tests/unit/test_catalogue.py"],
    ):
        done = run(tree, "-m", *check)
        assert done.returncode == 0, done.stdout + done.stderr


def order_of(*lines: tuple[str, int]) -> dict[str, Any]:
    price = {"amount": 1200, "currency": "GBP"}
    return {
        "order": new_id(),
        "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": [{"item": item, "quantity": pieces, "unit_price": price, "baked": True} for item, pieces in lines],
        "total": {"amount": sum(pieces for _, pieces in lines) * 1200, "currency": "GBP"},
    }
