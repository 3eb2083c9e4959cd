"""A greedy client or principal is held to its rate, over real connections, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest

from backbone.ids import new_id
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import wire
from tests.integration.test_orders import body
from tests.issuing import Issuer, bearing, issuing
from tests.waiting import eventually

OWN = ("orders.place.own", "orders.read.own")
HIS, ITS = (0.25, 3), (0.05, 4)
"""Requests a second of one principal, and of one client, and at once: nobody is let in again while a test looks on."""
WITHIN, PROXY = "127.0.1.1", "127.0.2.1"
LIMITS = {
    "principal_rate": HIS[0],
    "principal_burst": HIS[1],
    "principal_streams": 1,
    "client_rate": ITS[0],
    "client_burst": ITS[1],
    "trusted_proxies": "127.0.2.0/24,localhost",
    "unlimited_networks": "127.0.1.0/24,127.0.2.0/24",
}
ORDINARY = {"X-Correlation-Id": new_id()}
"""What the express lane leaves to the ordinary way."""
numbers = count(2)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def address(new_database: NewDatabase, issuer: Issuer) -> Iterator[str]:
    """One service is for all tests: each asks by new names, and from new addresses."""
    with serving(SERVICE, new_database("orders"), issuer=issuer.url, **LIMITS) as address:
        yield address


@dataclass(frozen=True)
class Asking:
    """Somebody who asks: by a token, or from an address alone."""

    name: str
    client: httpx.AsyncClient

    async def statuses(self, target: str, times: int, **headers: str) -> list[int]:
        return [(await self.client.get(target, headers=headers)).status_code for _ in range(times)]

    async def order(self, headers: dict[str, str], **changes: Any) -> httpx.Response:
        customer = {"id": self.name, "name": "A", "email": "a@example.com"}
        return await self.client.post("/orders", json=body(customer=customer, **changes), headers=headers)

    async def counted(self, limit: str) -> float:
        said = f'sliceline_http_limited_total{{limit="{limit}"}} '
        lines = (await self.client.get("/metrics")).text.splitlines()
        return next((float(line.removeprefix(said)) for line in lines if line.startswith(said)), 0.0)


@asynccontextmanager
async def asking(address: str, at: str, issuer: Issuer | None = None, *scopes: str) -> AsyncIterator[Asking]:
    """Whoever asks from there; of an issuer, somebody new."""
    name = f"somebody-{next(numbers)}"
    headers = bearing(issuer.token(name, *scopes)) if issuer else {}
    transport = httpx.AsyncHTTPTransport(local_address=at)
    async with httpx.AsyncClient(transport=transport, base_url=address, headers=headers, timeout=20) as client:
        yield Asking(name, client)


def somewhere() -> str:
    """An address that nobody had before, and that is not within."""
    return f"127.0.0.{next(numbers)}"


@pytest.fixture
async def ada(address: str, issuer: Issuer) -> AsyncIterator[Asking]:
    async with asking(address, WITHIN, issuer, *OWN) as asking_:
        yield asking_


@pytest.fixture
async def ben(address: str, issuer: Issuer) -> AsyncIterator[Asking]:
    async with asking(address, WITHIN, issuer, *OWN) as asking_:
        yield asking_


@pytest.fixture
async def stranger(address: str) -> AsyncIterator[Asking]:
    async with asking(address, somewhere()) as asking_:
        yield asking_


def refused(answer: httpx.Response, limit: str, told: tuple[float, int]) -> int:
    """The seconds that a whole refusal says to wait."""
    assert answer.status_code == 429, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem, wait = answer.json(), int(answer.headers["Retry-After"])
    assert problem["type"] == "/problems/too-many-requests"
    assert problem["correlationid"] == answer.headers["X-Correlation-Id"]
    assert problem["detail"] == (
        f"One {limit} may send {told[0]} requests a second, and after a pause {told[1]} at once. Try again in {wait} s."
    )
    return wait


async def test_a_principal_who_has_had_his_share_waits_and_another_at_the_same_address_goes_on(
    ada: Asking, ben: Asking
) -> None:
    before = await ada.counted("principal")
    assert await ada.statuses("/orders", 4) == [200] * 3 + [429]
    assert await ben.statuses("/orders", 3) == [200] * 3
    assert await ada.statuses("/menu", 5) == [200] * 5, "nobody is asked there who he is"
    assert await ada.counted("principal") == before + 1
    assert ada.name not in (await ada.client.get("/metrics")).text


async def test_it_is_true_when_a_refusal_says_that_the_next_is_let_in(ada: Asking) -> None:
    await ada.statuses("/orders", 3)
    await asyncio.sleep(refused(await ada.client.get("/orders"), "principal", HIS))
    assert await ada.statuses("/orders", 2) == [200, 429]


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["express", "ordinary"])
async def test_an_order_is_counted_once_and_held_to_the_rate_on_either_way(
    ada: Asking, ben: Asking, way: dict[str, str]
) -> None:
    assert (await ada.order(way, lines=[])).status_code == 422
    assert [(await ada.order(way)).status_code for _ in range(2)] == [202, 202]
    refused(await ada.order(way), "principal", HIS)
    assert (await ben.order(way)).status_code == 202


@pytest.mark.parametrize("way", ["", f"X-Correlation-Id: {new_id()}\r\n"], ids=["express", "ordinary"])
async def test_a_principal_is_refused_before_the_body_comes(address: str, ada: Asking, way: str) -> None:
    await ada.statuses("/orders", 3)
    head = f"Authorization: {ada.client.headers['Authorization']}\r\nContent-Type: application/json\r\n{way}"
    async with wire(address) as line:
        await line.send(f"POST /orders HTTP/1.1\r\nHost: a\r\n{head}Content-Length: 100\r\n\r\n".encode())
        reply = await line.reply()
    assert reply.problem(429)["detail"].startswith("One principal may")
    assert reply.is_last


async def test_who_acts_for_the_shop_has_no_limit_of_his_own_from_within_but_from_elsewhere(
    address: str, issuer: Issuer
) -> None:
    async with asking(address, WITHIN, issuer, "orders.read") as robot:
        assert await robot.statuses("/orders", 9) == [200] * 9
    async with asking(address, somewhere(), issuer, "orders.read") as taken_away:
        assert await taken_away.statuses("/orders", 4) == [200] * 3 + [429]


async def test_a_client_that_has_had_its_share_waits_and_another_goes_on(address: str, stranger: Asking) -> None:
    before = await stranger.counted("client")
    assert await stranger.statuses("/menu", 5) == [200] * 4 + [429]
    for free in ("/metrics", "/health/live"):
        assert await stranger.statuses(free, 5) == [200] * 5
    for way in ({}, ORDINARY):
        refused(await stranger.order(way), "client", ITS)
    assert await stranger.counted("client") == before + 3
    async with asking(address, somewhere()) as another:
        assert await another.statuses("/menu", 1) == [200]


@pytest.mark.parametrize("token", ["Bearer guessed", "Basic YWRhOmFkYQ==", ""])
@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["express", "ordinary"])
async def test_guesses_of_tokens_are_held_to_the_rate_and_then_no_token_is_looked_at(
    stranger: Asking, ada: Asking, token: str, way: dict[str, str]
) -> None:
    guesses = [await stranger.order({"Authorization": token, **way}) for _ in range(4)]
    assert {each.status_code for each in guesses} == {401}
    refused(await stranger.order({"Authorization": token, **way}), "client", ITS)
    refused(await stranger.order({"Authorization": ada.client.headers["Authorization"]}), "client", ITS)


async def test_what_is_forbidden_counts_as_well(address: str, issuer: Issuer) -> None:
    async with asking(address, somewhere(), issuer, "points.read.own") as curious:
        assert await curious.statuses("/orders", 5) == [403] * 4 + [429]


async def test_clients_are_told_apart_by_what_a_trusted_proxy_says_and_by_nobody_elses_word(
    address: str, stranger: Asking
) -> None:
    said = "X-Forwarded-For"
    async with asking(address, PROXY) as proxy:
        assert await proxy.statuses("/menu", 5, **{said: "2001:db8::1"}) == [200] * 4 + [429]
        assert await proxy.statuses("/menu", 1, **{said: "192.0.2.1, 2001:db8::2"}) == [429]
        assert await proxy.statuses("/menu", 1, **{said: "2001:db8:0:1::1"}) == [200]
        assert await proxy.statuses("/menu", 9) == [200] * 9, "its own requests come from within"
    lies = [await stranger.statuses("/menu", 1, **{said: f"192.0.2.{number}"}) for number in range(5)]
    assert lies == [[200]] * 4 + [[429]]


async def test_a_proxy_is_known_by_its_name(address: str) -> None:
    async with asking(address, "127.0.0.1") as proxy:
        assert (await proxy.statuses("/menu", 5))[-1] == 429, "for itself it has what everybody has"

        async def is_believed() -> bool:
            return await proxy.statuses("/menu", 1, **{"X-Forwarded-For": f"198.51.100.{next(numbers)}"}) == [200]

        await eventually(is_believed, 10)


async def test_one_principal_takes_only_some_of_the_places_of_streams_and_gives_them_back(
    ada: Asking, ben: Asking
) -> None:
    async with AsyncExitStack() as stack:

        async def follow(who: Asking, order: str) -> httpx.Response:
            return await stack.enter_async_context(who.client.stream("GET", f"/orders/{order}/stream"))

        hers, his = [(await who.order({})).json()["id"] for who in (ada, ben)]
        assert [(await follow(who, order)).status_code for who, order in ((ada, hers), (ben, his))] == [200, 200]
        refused = await follow(ada, hers)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert "1 event streams are open by one alone" in (await refused.aread()).decode()
        assert await ada.counted("principal-streams") == 1

    async def has_a_place() -> bool:
        async with ada.client.stream("GET", f"/orders/{hers}/stream") as again:
            return again.status_code == 200

    await eventually(has_a_place, 15)
