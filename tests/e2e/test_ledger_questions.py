"""What the ledger is asked about orders of a running shop: how they stood, why they do not get on, where all are."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.faults.foreign import headers_of, send
from tests.system import Document, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("ledger")

COMPLETED = "sliceline.orders.order-completed.v1"
LIVE = {
    "orders": "SELECT status FROM orders WHERE id = $1",
    "kitchen": "SELECT status FROM tickets WHERE order_id = $1",
    "delivery": "SELECT status FROM deliveries WHERE order_id = $1",
    "payments": "SELECT status FROM payments WHERE order_id = $1",
    "inventory": "SELECT status AS reservation FROM reservations WHERE order_id = $1",
}


async def states(shop: Shop, order: str, at: str | None = None) -> dict[str, Any]:
    """How an order stood in each service, now unless a moment is given."""
    asked = {"order": order} | ({"at": at} if at else {})
    answer = await shop.get("ledger", "/state", **asked)
    return {each["service"]: each for each in answer["services"]}


async def why(shop: Shop, order: str, expected: str) -> Document | None:
    """None where the archive has nothing of the order yet: it follows the others."""
    answer = await shop.http.get(shop.url("ledger", "/why"), params={"order": order, "expected": expected})
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def happened(shop: Shop, order: str, expected: str) -> None:
    """Return when the archive has it."""

    async def found() -> bool:
        answer = await why(shop, order, expected)
        return answer is not None and answer["happened"] is not None

    await eventually(found, 30, what=f"{expected} of {order} in the archive")


async def broken(shop: Shop, order: str, expected: str, kind: str) -> Document:
    """The first broken link, as soon as it is of this kind."""

    async def named() -> Document | None:
        link = (await why(shop, order, expected) or {}).get("broken")
        return link if link and link["kind"] == kind else None

    return await eventually(named, 30, what=f"{expected} of {order} is {kind}")


async def test_an_order_is_rebuilt_in_every_service_as_it_is_and_as_it_was(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    document = await shop.complete(order)
    for expected in ("points", "mail", "inventory", "delivery"):
        await happened(shop, order, expected)

    rebuilt = await states(shop, order)
    for service, query in LIVE.items():
        (row,) = await shop.fetch(service, query, order)
        assert rebuilt[service]["state"].items() >= dict(row).items(), service
    assert rebuilt["loyalty"]["state"]["points"] == document["total"]["amount"] // 100
    assert {mail["status"] for mail in rebuilt["notifications"]["state"]} == {"sent"}
    assert [each for each in rebuilt.values() if each.get("unheard") or each.get("unfit")] == []
    assert rebuilt["webhooks"]["why"] == "It does not answer."

    # But for the first: an order is decided a moment before the transaction by whose time its event goes.
    stood = {entry["at"]: entry["status"] for entry in document["timeline"][1:]}
    was = {at: (await states(shop, order, at))["orders"]["state"]["status"] for at in stood}
    assert was == stood


async def test_a_mail_that_cannot_be_handed_over_is_found_behind_its_job(shop: Shop) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listening
        async with shop.told("notifications", smtp_port=str(nobody.getsockname()[1])):
            order = await shop.place({"water": 1})
            await shop.wait_for_status(order, "confirmed")
            link = await broken(shop, order, "mail", "job-failing")
    assert link["service"] == "notifications"
    assert link["command"] == "./sliceline logs notifications"
    await happened(shop, order, "mail")


async def test_an_event_that_is_parked_is_named_with_the_command_that_redrives_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.place({"water": 1})
    await shop.wait_for_status(order, "confirmed")
    async with swept_up(shop, order):
        await send_broken(shop, order)
        link = await broken(shop, order, "points", "parked")
        assert link["service"] == "loyalty"
        assert link["command"] == f"./sliceline dead-letters redrive loyalty --key {order}"
        assert link["text"].startswith("loyalty could not handle orders.order-completed and parked it (letter ")
        monkeypatch.setattr("cli.why.address_of", shop.url)
        monkeypatch.setenv("SLICELINE_TOKEN", await shop.token())
        said = await asyncio.to_thread(CliRunner().invoke, app, ["why", order, "points"])
        assert said.exit_code == 1
        assert f"This goes on with: ./sliceline dead-letters redrive loyalty --key {order}" in said.stdout
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["why", order, "payment", "--json"])
        assert (shown.exit_code, json.loads(shown.stdout)["happened"]["text"]) == (
            0,
            "payments.payment-received happened.",
        )
        wrong = await asyncio.to_thread(CliRunner().invoke, app, ["why", order, "paiment"])
        assert (wrong.exit_code, "Did you mean payment" in wrong.output) == (2, True)


async def test_a_consumer_that_somebody_paused_is_named_with_the_command_that_lets_it_go_on(shop: Shop) -> None:
    order = await shop.place({"water": 1})
    pause = {"what": "consumer", "name": "loyalty", "reason": "The books are closed"}
    paused = await shop.http.post(shop.url("loyalty", "/pauses"), json=pause)
    assert paused.status_code < 300, paused.text
    try:
        await shop.complete(order)
        await happened(shop, order, "order-completed")
        link = await broken(shop, order, "points", "paused")
        assert link["command"] == "./sliceline resume loyalty"
        assert link["text"].endswith("The books are closed")
    finally:
        await shop.http.delete(shop.url("loyalty", f"/pauses/{paused.json()['id']}"))
    await happened(shop, order, "points")


async def test_a_service_that_is_away_is_where_its_orders_stand_in_the_funnel(shop: Shop) -> None:
    began = datetime.now(UTC).isoformat()
    async with shop.without("payments"):
        order = await shop.place({"water": 1})

        async def stuck() -> Document | None:
            """Stock is reserved a moment later, and archived another one later."""
            funnel = await shop.get("ledger", "/funnel", since=began, patience=1)
            found = {each["order"]: each["broken"]["kind"] for each in funnel["stuck"]}
            return funnel if found.get(order) == "no-answer" else None

        funnel = await eventually(stuck, 30, what="the order is stuck")
        statuses = {each["status"]: each for each in funnel["statuses"]}
        assert (funnel["came"], statuses["placed"]["orders"]) == (1, 1)
        assert statuses["placed"]["oldest"]["order"] == order
        link = funnel["stuck"][0]["broken"]
        assert (link["kind"], link["service"], link["command"]) == (
            "no-answer",
            "payments",
            "./sliceline restart payments",
        )


async def test_a_question_about_nothing_gets_a_clear_answer(shop: Shop) -> None:
    asked = {
        "/why?order=nobody&expected=mail": (404, "The archive has no event of an order nobody."),
        "/why?order=nobody&expected=mial": (422, "One field is not acceptable."),
        "/state?order=nobody": (404, "No event of order nobody is archived that had happened by then."),
        "/state?order=a&sku=b": (422, "One field is not acceptable."),
    }
    for path, (status, detail) in asked.items():
        answer = await shop.http.get(shop.url("ledger", path))
        assert (answer.status_code, answer.json()["detail"]) == (status, detail)


async def send_broken(shop: Shop, order: str) -> None:
    """Send what says that the order is completed, and lacks all that its contract asks for."""
    headers = headers_of(order, COMPLETED, b"%020d" % 99, datetime.now(UTC).isoformat())
    await send(shop.journal.kafka, order, orjson.dumps({}), headers)


@asynccontextmanager
async def swept_up(shop: Shop, key: str) -> AsyncIterator[None]:
    """Whatever becomes of the test, the next one finds nothing parked."""
    try:
        yield
    finally:
        for service in ("loyalty", "inventory"):
            await shop.fetch(service, "DELETE FROM dead_letters WHERE key = $1", key)
            await shop.fetch(service, "DELETE FROM parked_keys WHERE key = $1", key)
        shop.spoilt.add(key)
