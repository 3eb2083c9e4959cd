"""The listener that the README adds works as it stands there."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services
from backbone.declared import objections
from backbone.ids import new_id
from backbone.service import Service
from local import ROOT
from tests.conftest import NewDatabase
from tests.integration.one_service import fed

BLOCK = re.compile(r"^```python\n# (services/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service[Any]]:
    """The README's service, from files of its code blocks beside our own services."""
    for name, code in BLOCK.findall((ROOT / "README.md").read_text()):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path / "services")])
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
        async with bestsellers.database.transaction() as tx:
            sold = await tx.raw.fetch("SELECT item, pieces FROM sold ORDER BY item")
    assert [tuple(row) for row in sold] == [("cola", 1), ("margherita", 5)]


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
