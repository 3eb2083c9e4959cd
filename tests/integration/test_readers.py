"""Who asks for a version with a pattern is found at the router and at webhooks, wherever those run."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from backbone.values.brokers import Brokers
from cli.readers import look
from deployment.reading import Seen
from tests.conftest import NewDatabase
from tests.integration.service_process import ServiceProcess, process_of
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"
RULE = {
    "name": "Large orders",
    "pattern": {"source": ["/sliceline/orders"], "type": [V1]},
    "targets": [{"webhook": "books"}],
}
ENDPOINT = {
    "name": "books",
    "url": "https://hooks.example.com/a",
    "pattern": {"dataschema": [{"suffix": "/order-confirmed.v1.json"}]},
}


async def started(stack: AsyncExitStack, service: str, url: str, kafka: Brokers, log: Path) -> str:
    one = await stack.enter_async_context(process_of(f"services.{service}.service", log, database_url=url, kafka=kafka))
    await eventually(lambda: answers(one), 45)
    return str(one.client.base_url).rstrip("/")


async def answers(one: ServiceProcess) -> bool:
    return await one.waiting_for() is not None


async def told(address: str, path: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=address, trust_env=False, headers=by(SOMEBODY)) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text


async def test_rules_and_endpoints_elsewhere_are_asked_at_the_addresses_that_are_said(
    new_database: NewDatabase, kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.readers.find", lambda: None)
    for name, value in kafka.environment().items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        urls = [await asyncio.to_thread(new_database, service) for service in ("router", "webhooks")]
        router = await started(stack, "router", urls[0], kafka, tmp_path / "router.log")
        webhooks = await started(stack, "webhooks", urls[1], kafka, tmp_path / "webhooks.log")
        await told(router, "/rules", RULE)
        await told(webhooks, "/endpoints", ENDPOINT)
        both = await asyncio.to_thread(look, [router, webhooks])
        one = await asyncio.to_thread(look, [webhooks])
    assert isinstance(both, Seen)
    assert isinstance(one, Seen)
    assert [each.whole_name for each in both.asking_for(V1)] == [
        "rule Large orders of the router",
        "endpoint books of webhooks",
    ]
    assert both.asking_for(V2) == []
    assert list(both.unasked) == []
    assert {"router", "webhooks"} <= both.asked
    assert [each.name for each in one.asking_for(V1)] == ["endpoint books"]
    assert list(one.unasked) == ["router"]
