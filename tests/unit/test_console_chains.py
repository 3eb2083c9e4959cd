"""Logs of acts are gone over once for all who ask, and what nobody could be asked about is not said to be well."""

import asyncio
import json

import httpx
import pytest
from htpy import fragment

from services.console.asking import Ask, NotLoggedIn, Services
from services.console.chains import Verifications, Verified
from services.console.pages.audit import audit, finding
from services.console.session import Session

PAGE = httpx.Response(200, json={"items": [], "last": 0, "waiting": 0})


class Logs:
    """Answers as empty logs do, once the gate is open, and counts how many are gone over at once."""

    def __init__(self, *, first: httpx.Response = PAGE) -> None:
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self._answers = [first]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        self.begun.set()
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        return self._answers.pop() if self._answers else httpx.Response(200, content=PAGE.content, headers=PAGE.headers)


def somebody(http: httpx.AsyncClient, *scopes: str) -> Ask:
    addresses = {"orders": "http://orders", "carts": "http://carts"}
    return Ask(Session("olga", frozenset(scopes), "token", float("inf")), Services(http, addresses))


async def test_who_asks_for_what_is_gone_over_already_waits_for_it_and_others_for_their_turn() -> None:
    logs, verifications = Logs(), Verifications()
    async with httpx.AsyncClient(transport=httpx.MockTransport(logs.answer)) as http:
        same = [
            asyncio.create_task(verifications.verify_all(somebody(http, "operations.read"), ["orders"]))
            for _ in range(3)
        ]
        await logs.begun.wait()
        other = asyncio.create_task(verifications.verify_all(somebody(http, "operations.read"), ["carts"]))
        await asyncio.sleep(0.05)  # long enough to begin, were it not to wait
        logs.gate.set()
        found = await asyncio.gather(*same, other)
        assert [each[0].service for each in found] == ["orders", "orders", "orders", "carts"]
        assert (logs.asked, logs.most) == (["orders", "carts"], 1)
        await verifications.verify_all(somebody(http, "operations.read"), ["orders"])
        assert logs.asked == ["orders", "carts", "orders"], "what has ended is gone over again"


async def test_the_end_of_somebodys_token_ends_no_others_look() -> None:
    logs, verifications = Logs(first=httpx.Response(401)), Verifications()
    async with httpx.AsyncClient(transport=httpx.MockTransport(logs.answer)) as http:
        first, second = (
            asyncio.create_task(verifications.verify_all(somebody(http, "operations.read"), ["orders"]))
            for _ in range(2)
        )
        await logs.begun.wait()
        logs.gate.set()
        with pytest.raises(NotLoggedIn):
            await first
        assert (await second)[0].is_whole
    assert logs.asked == ["orders", "orders"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([Verified("orders", True, 5, 2), Verified("carts", True, 0, 0)], "Nobody has changed what was written"),
        ([Verified("orders", True, 5, 2), Verified("carts", True, 0, None)], "nobody can tell of carts: no ledger"),
        ([Verified("orders", False, 0, None, "Row 1 is missing."), Verified("carts", True, 0, 0)], "Look at orders."),
    ],
)
def test_what_nobody_could_be_asked_about_is_not_said_to_be_unchanged(found: list[Verified], said: str) -> None:
    shown = str(fragment[finding(found)])
    assert said in shown
    assert ("Nobody has changed" in shown) == said.startswith("Nobody")


async def test_an_acts_correlation_is_to_be_copied_and_leads_nowhere_for_it_is_in_no_event() -> None:
    entry = {
        "at": "2026-11-29T12:00:00Z",
        "service": "orders",
        "what": "POST /redrives",
        "path": "/redrives",
        "outcome": "done",
        "status": 202,
        "correlationid": "01a22727-0c28-7311-b298-559b97fdbb8e",
    }

    def answer(_: httpx.Request) -> httpx.Response:
        row = {"number": 1, "actor": "olga", "entry": json.dumps(entry)}
        return httpx.Response(200, json={"items": [row], "last": 1, "waiting": 0})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        shown = str(fragment[(await audit(somebody(http, "operations.read"))).body])
    assert 'data-copy="01a22727-0c28-7311-b298-559b97fdbb8e"' in shown
    assert "/search" not in shown
