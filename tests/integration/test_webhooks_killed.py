"""kill -9 of the process that sends: nothing is lost, and what comes twice comes under the same id."""

import asyncio
import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from backbone.ids import new_id
from tests.conftest import NewDatabase
from tests.integration.service_process import ServiceProcess, process_of
from tests.integration.webhooks_world import Receiver, World, url_of, world
from tests.waiting import eventually


@pytest.mark.parametrize("took_it", [True, False], ids=["which had been taken", "which hung"])
async def test_a_sender_killed_in_a_delivery_loses_none_and_sends_that_again_under_its_id(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, took_it: bool
) -> None:
    async with world(new_database, monkeypatch) as shop:
        receiver, orders = shop.receivers[0], [new_id() for _ in range(3)]
        hanging = _hang_at_the_fifth(receiver, after_taking=took_it)
        await shop.endpoint(receiver, ordered=True, concurrency=1)
        await shop.stop()
        for _ in range(4):
            await shop.hear(*orders)
        async with _sender(shop, tmp_path / "killed") as sender:
            await asyncio.wait_for(hanging.wait(), 30)
            await sender.process.kill()
        await _end_leases(shop)
        async with _sender(shop, tmp_path / "next"):
            await eventually(lambda: len({each["id"] for each in receiver.taken}) == 12, 30)
            await eventually(lambda: _delivered(shop, 12), 30)
    came = Counter(each.headers["webhook-id"] for each in receiver.calls)
    assert set(came) == {json.loads(each.body)["id"] for each in receiver.calls}
    assert (len(came), max(came.values())) == (12, 2)
    for order in orders:
        first_seen = dict.fromkeys(int(each["sequence"]) for each in receiver.taken if each["partitionkey"] == order)
        assert list(first_seen) == sorted(first_seen)


def _hang_at_the_fifth(receiver: Receiver, *, after_taking: bool) -> asyncio.Event:
    """Leave the fifth call without an answer; the event tells when it hangs."""
    hanging = asyncio.Event()

    async def decide(event: dict[str, Any]) -> int:
        if len(receiver.calls) == 5 and not hanging.is_set():
            if after_taking:
                receiver.taken.append(event)
            hanging.set()
            await asyncio.Event().wait()
        return 200

    receiver.decide = decide
    return hanging


def _sender(shop: World, log: Path) -> AbstractAsyncContextManager[ServiceProcess]:
    ports = ",".join(str(each.listener.port) for each in shop.receivers)
    reached = {"webhook_networks": "127.0.0.1", "webhook_ports": ports}
    url = url_of(shop.fed.database)
    return process_of("services.webhooks.service", log, "--roles", "jobs", database_url=url, **reached)


async def _end_leases(shop: World) -> None:
    """Let time pass for the leases of whoever is dead."""
    async with shop.fed.database.transaction() as tx:
        await tx.raw.execute("UPDATE jobs SET due = now() WHERE lease IS NOT NULL")


async def _delivered(shop: World, count: int) -> bool:
    async with shop.fed.database.transaction() as tx:
        found = await tx.raw.fetchval("SELECT count(*) FROM deliveries WHERE status = 'delivered'")
    return bool(found == count)
