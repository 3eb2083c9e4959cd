"""Events that no handler can swallow, in the middle of real ones: parked and visible, and the others flow on."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from deployment.catalogue import readers
from local import state
from local.ports import HOST
from local.processes import identity_of
from tests.all_services import SERVICES
from tests.faults.customers import PATIENCE, Customers
from tests.faults.foreign import FIRST, PLACED, TOPIC, headers_of, send
from tests.invariants import assert_sound
from tests.processes import Process
from tests.system import Shop
from tests.waiting import eventually

COMPLETED = "sliceline.orders.order-completed.v1"
Letter = dict[str, Any]


async def test_a_broken_contract_is_parked_and_the_others_flow_on(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.system.robot()
    customers, key = Customers(shop), f"poison-{uuid4().hex}"
    shop.spoilt.add(key)
    before = customers.ordering(10)
    async with _swept_up(shop, key, readers(SERVICES)[PLACED]):
        for _ in range(2):
            await _send(shop, key, PLACED, {"order": key, "lines": "many"})
        await before
        await customers.order(5)
        for service in ("inventory", "payments"):
            first, second = await _letters(shop, service, key, 2)
            assert (first["type"], first["topic"]) == (PLACED, TOPIC)
            assert first["error"].startswith("ContractBroken: ")
            assert " lines: " in first["error"]
            assert second["error"] is None, "it waits behind the first"
            monkeypatch.setattr("cli.running.HOME", tmp_path)
            monkeypatch.setenv("SLICELINE_TOKEN", await shop.token())
            assert _parked_in_status(tmp_path, service, shop.system[service], shop.system.ports[service]) == 2
        await customers.are_served()


async def test_what_waits_behind_a_broken_event_is_done_when_that_is_out_of_the_way(shop: Shop) -> None:
    listeners = readers(SERVICES)[COMPLETED]
    order = await shop.place({"water": 1})
    await shop.wait_for_status(order, "confirmed", within=PATIENCE)
    async with _swept_up(shop, order, listeners):
        await _send(shop, order, COMPLETED, {}, sequence=b"first")
        for service in listeners:
            await _letters(shop, service, order, 1)
        customer = (await shop.complete(order, within=PATIENCE))["customer"]["id"]
        for service in listeners:
            first, _ = await _letters(shop, service, order, 2)
            await _fails_again_with_the_new_error(shop, service, order, first["id"])
            await shop.fetch(service, "DELETE FROM dead_letters WHERE id = $1", first["id"])
            assert await _redrive(shop, service, order) == 1
        await assert_sound(shop, within=PATIENCE)
    assert (await shop.get("loyalty", f"/customers/{customer}/points"))["points"] > 0


async def _fails_again_with_the_new_error(shop: Shop, service: str, key: str, letter: int) -> None:
    await shop.fetch(service, "UPDATE dead_letters SET error = 'an old one' WHERE id = $1", letter)
    assert await _redrive(shop, service, key) == 0
    first, second = await _letters(shop, service, key, 2)
    assert first["error"].startswith("Undecodable: ")
    assert second["error"] is None


async def _redrive(shop: Shop, service: str, key: str) -> int:
    answer = await shop.http.post(shop.url(service, "/dead-letters/redrive"), json={"key": key})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["handled"])


async def _letters(shop: Shop, service: str, key: str, count: int) -> Sequence[Letter]:
    """A key's parked events, as soon as there are so many."""

    async def found() -> Sequence[Letter] | None:
        letters = [each for each in (await shop.get(service, "/dead-letters"))["items"] if each["key"] == key]
        return letters if len(letters) >= count else None

    return await eventually(found, PATIENCE, what=f"{service} parks {count} events of {key}")


def _parked_in_status(home: Path, service: str, process: Process, port: int) -> int:
    """What `./sliceline status --json` counts for a service."""
    identity = identity_of(process.pid)
    address = f"http://{HOST}:{port}"
    row = state.Row(service, "ready", address=address, port=port, pid=identity.pid, started=identity.started)
    with state.hold(home):
        state.write(home, state.State(state.RUNNING, identity, rows={service: row}))
        result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1, result.output  # all processes are well, but what is parked needs a person
    return int(json.loads(result.stdout)["processes"][service]["parked"])


async def _send(shop: Shop, key: str, event_type: str, data: Any, sequence: bytes = FIRST) -> None:
    await send(shop.journal.kafka, key, orjson.dumps(data), headers_of(key, event_type, sequence))


@asynccontextmanager
async def _swept_up(shop: Shop, key: str, services: Sequence[str]) -> AsyncIterator[None]:
    """Whatever becomes of the test, the next one finds nothing parked."""
    try:
        yield
    finally:
        for service in services:
            await shop.fetch(service, "DELETE FROM dead_letters WHERE key = $1", key)
            await shop.fetch(service, "DELETE FROM parked_keys WHERE key = $1", key)
        # It stays in the topic, and whoever is started later meets it there.
        shop.spoilt.add(key)
