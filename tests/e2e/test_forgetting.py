"""What a customer tells of himself is in clear nowhere in the whole shop, and gone once he is forgotten."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from backbone.values.sealed import FORGOTTEN
from cli.__main__ import app
from services.delivery.service import SERVICE as DELIVERY
from tests.canaries import Canaries, tables_with
from tests.conftest import NewDatabase
from tests.faults.foreign import headers_of, records, send
from tests.integration.one_service import FakeRecord, fed
from tests.integration.standing_in import standing_in_for
from tests.journal import everything
from tests.processes import MASTER_KEY, SANDBOX
from tests.system import Document, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("carts", "reviews", "ledger")

PLACED = "sliceline.orders.order-placed.v1"
GONE = {"name": FORGOTTEN, "email": FORGOTTEN}


async def test_a_customers_own_is_in_clear_in_his_mails_alone_and_nowhere_once_he_is_forgotten(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: NewDatabase
) -> None:
    canaries, since = Canaries(), await _ends(shop)
    order = await _place(shop, canaries)
    cart, review = await _fill_and_check_out(shop, canaries), await _complain(shop, canaries, order)
    await shop.complete(order)
    async with _poisoned(shop, order, since):
        await _until_mailed(shop, canaries)
        await _until_archived(shop, order)
        assert (await shop.order(order))["customer"] == canaries.person
        assert await _in_clear(shop, canaries, since) == []

        monkeypatch.setattr("cli.running.HOME", tmp_path)
        monkeypatch.setenv("SLICELINE_TOKEN", await shop.token())
        with standing_in_for(tmp_path, {name: shop.url(name) for name in shop.system.services}):
            said = await asyncio.to_thread(_run, "forget", canaries.customer, "--yes")
            assert "2 orders with their lines and money" in said
            assert "1 of the orders are under way" in said
            assert f"'{canaries.customer}' is forgotten: the keys of orders, carts, reviews are destroyed." in said
            assert "has told nothing since" in await asyncio.to_thread(_run, "forget", canaries.customer, "--yes")
            unknown = await asyncio.to_thread(CliRunner().invoke, app, ["forget", "nobody-at-all", "--yes"])
            assert (unknown.exit_code, "Is that the id?" in unknown.output) == (1, True)

        await eventually(lambda: _reads_forgotten(shop, canaries, order, cart, review), what="all is forgotten")
        await _replays(shop, order, new_database, monkeypatch)
    await _goes_on(shop, canaries)


def _run(*command: str) -> str:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return result.output


def _order(shop: Shop, canaries: Canaries) -> Document:
    return {**shop.body({"margherita": 1}), "customer": canaries.person, "address": canaries.address}


async def _place(shop: Shop, canaries: Canaries) -> str:
    answer = await shop.post_order(_order(shop, canaries), key=canaries.customer)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def _fill_and_check_out(shop: Shop, canaries: Canaries) -> str:
    """Returns the cart, once there is an order of it."""
    cart = f"cart-{canaries.customer}"
    added = {"item": "water", "customer": canaries.person}
    assert (await shop.http.post(shop.url("carts", f"/carts/{cart}/items"), json=added)).status_code == 202
    terms = {"currency": "GBP", "address": canaries.address}
    assert (await shop.http.post(shop.url("carts", f"/carts/{cart}/checkout"), json=terms)).status_code == 202

    async def placed() -> bool:
        return bool((await shop.get("carts", f"/carts/{cart}"))["checkout"]["order"])

    await eventually(placed, what="the cart is an order")
    return cart


async def _complain(shop: Shop, canaries: Canaries, order: str) -> str:
    """Returns the review, once somebody has looked after its customer."""
    said = {"order": order, "customer": canaries.person, "stars": 1, "text": canaries.said("It was cold.")}
    answer = await shop.http.post(shop.url("reviews", "/reviews"), json=said)
    review = str(answer.json()["id"])
    resolution = {"note": canaries.said("Called"), "points": 0}

    async def resolved() -> bool:
        path = shop.url("reviews", f"/cases/{review}/resolve")
        return (await shop.http.post(path, json=resolution)).status_code == 200

    await eventually(resolved, what="the case is resolved")
    return review


@asynccontextmanager
async def _poisoned(shop: Shop, order: str, since: dict[TopicPartition, int]) -> AsyncIterator[None]:
    """With an event in the dead letters that has all that was sealed, and breaks its contract."""
    placed = next(each for each in await _told(shop, since) if each["order"] == order and "fulfilment" in each)
    await send(shop.journal.kafka, order, orjson.dumps({**placed, "lines": "many"}), headers_of(order, PLACED))
    shop.spoilt.add(order)

    async def parked() -> bool:
        letters = await shop.get("inventory", "/dead-letters")
        return order in [letter["key"] for letter in letters["items"]]

    await eventually(parked, what="the broken event is parked")
    try:
        yield
    finally:
        for service in ("inventory", "payments"):
            for table in ("dead_letters", "parked_keys"):
                await shop.fetch(service, f"DELETE FROM {table} WHERE key = $1", order)


async def _told(shop: Shop, since: dict[TopicPartition, int]) -> list[Document]:
    found = await records(shop.journal.kafka, dict(since), everything())
    return [{"order": "", **orjson.loads(each.value or b"{}")} for each in found if each.topic == "orders.events"]


async def _until_mailed(shop: Shop, canaries: Canaries) -> None:
    async def mailed() -> bool:
        mails = await shop.mails(canaries.person["email"])
        texts = [(await shop.get("mail", f"/api/v1/message/{mail['ID']}"))["Text"] for mail in mails]
        return any(f"Hello {canaries.person['name']}," in text and canaries.address in text for text in texts)

    await eventually(mailed, what="the mail with name and address")


async def _until_archived(shop: Shop, order: str) -> None:
    async def archived() -> bool:
        items = (await shop.get("ledger", "/events", key=order))["items"]
        return any(each["type"].endswith("order-completed.v1") for each in items)

    await eventually(archived, what="the order's events in the archive")


async def _in_clear(shop: Shop, canaries: Canaries, since: dict[TopicPartition, int]) -> list[str]:
    """Name the tables, topics and logs in which a canary stands."""
    found = []
    for service in shop.system.services:
        async with shop.database(service) as connection:
            found += [f"{service}: {table}" for table in await tables_with(connection, canaries)]
    for record in await records(shop.journal.kafka, dict(since), everything()):
        parts = [record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers)]
        found += [record.topic for part in parts if canaries.are_in(part)]
    logs = (file for file in shop.system.logs.glob("*.log") if file.stem not in SANDBOX)
    return found + [file.name for file in logs if canaries.are_in(file.read_bytes())]


async def _ends(shop: Shop) -> dict[TopicPartition, int]:
    return {TopicPartition(*place): end for place, end in (await shop.journal.ends()).items()}


async def _reads_forgotten(shop: Shop, canaries: Canaries, order: str, cart: str, review: str) -> bool:
    """Tell whether everybody says so who has known him; whoever has read a key remembers it for a moment."""
    who = {"id": canaries.customer, **GONE}
    shown: list[Any] = [await shop.order(order), await shop.get("carts", f"/carts/{cart}")]
    shown += [await shop.get("reviews", f"/cases/{review}")]
    mails = await shop.get("notifications", "/notifications", about=order)
    delivered = (await shop.push(order, "delivered")).json()  # once more, which shows it and changes nothing
    again = await shop.post_order(_order(shop, canaries), key=canaries.customer)
    assert again.headers["Idempotency-Replayed"] == "true"
    shown.append(again.json())
    said = (shown[0]["address"], shown[2]["text"], shown[2]["note"], delivered["address"], delivered["customer_name"])
    known = [each["customer"] for each in shown] == [who] * len(shown) and {*said} == {FORGOTTEN}
    return known and canaries.word not in f"{mails}{shown}{delivered}"


async def _replays(shop: Shop, order: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read model that is made anew from the archive has all but what was forgotten."""
    monkeypatch.setenv("SLICELINE_MASTER_KEY", MASTER_KEY)
    for name, value in shop.system.doors("delivery").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLICELINE_SERVICES", f"orders={shop.url('orders')}")
    items = (await shop.get("ledger", "/events", key=order))["items"]
    archived = [await _record(shop, each["id"]) for each in items]
    async with fed(DELIVERY, new_database) as anew:
        await anew.deliver(*(each for each in archived if each.topic in ("orders.events", "kitchen.events")))
        as_reader = {"Authorization": f"Bearer {await shop.token()}"}
        [delivery] = (await anew.client.get("/deliveries", headers=as_reader)).json()["items"]
        assert (delivery["order"], delivery["customer_name"], delivery["address"]) == (order, FORGOTTEN, FORGOTTEN)
    state = await shop.get("ledger", "/state", order=order)
    assert {each["service"] for each in state["services"]} >= {"orders", "delivery", "kitchen"}


async def _record(shop: Shop, event: str) -> FakeRecord:
    shown = await shop.get("ledger", f"/events/{event}")
    raw = shown["raw"]
    headers = [(each["name"], b64decode(each["value_base64"])) for each in raw["headers"]]
    key, value = b64decode(raw["key_base64"]), b64decode(raw["value_base64"])
    return FakeRecord(shown["topic"], 0, key, value, headers)


async def _goes_on(shop: Shop, canaries: Canaries) -> None:
    """Who comes back is served as anybody else."""
    answer: httpx.Response = await shop.post_order({**shop.body({"water": 1}), "customer": canaries.person})
    order = str(answer.json()["id"])
    await shop.complete(order)
    assert (await shop.order(order))["customer"] == canaries.person
