"""What a service takes along when it asks another: its token, a new one when that is refused, and no proxy."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backbone.context import Context
from backbone.identity import issuer_keys, own_token, tokens
from backbone.identity.own_token import OwnToken
from backbone.ids import new_id
from backbone.settings import Settings
from backbone.storage.database import Database
from deployment import people
from services.carts.orders import Orders, Placed, Unknown
from services.ledger.asking import Services
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.test_orders import body
from tests.issuing import Issuer, issuing
from tests.waiting import eventually

UNUSED = "postgresql://unused"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def settings(issuer: Issuer, folder: Path) -> Settings:
    return Settings(
        database_url=UNUSED,
        issuer=issuer.url,
        issuer_keys=None,
        issuer_tokens=None,
        identity_key_file=people.key_of(folder, "carts"),
    )


async def test_a_service_whose_token_is_refused_gets_a_new_one(
    issuer: Issuer, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the issuer takes a key back at once, long before the tokens that it has signed are over."""
    for module, name in (
        (issuer_keys, "KEPT"),
        (issuer_keys, "BETWEEN"),
        (tokens, "REMEMBERED"),
        (own_token, "BETWEEN"),
    ):
        monkeypatch.setattr(module, name, 0.0)
    issuer.gives = ("orders.place",)
    url = await asyncio.to_thread(new_database, "orders")
    with serving(ORDERS, url, issuer=issuer.url) as address:
        async with httpx.AsyncClient() as http:
            orders = Orders(http, address, OwnToken("carts", settings(issuer, tmp_path), lambda: http))
            assert isinstance(await orders.place(body(), new_id(), new_id()), Placed)
            issuer.rotate()
            issuer.keys.pop()

            async def is_refused() -> bool:
                return await orders.place(body(), new_id(), new_id()) == Unknown("answered 401 Not authorized")

            await eventually(is_refused)
            assert issuer.given == 1
            assert isinstance(await orders.place(body(), new_id(), new_id()), Placed)
            assert issuer.given == 2


async def test_whoever_refuses_every_token_has_the_issuer_asked_no_oftener(issuer: Issuer, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as http:
        token = OwnToken("carts", settings(issuer, tmp_path), lambda: http)
        for _ in range(20):
            await token.headers()
            token.heed(401)
    assert issuer.given == 1


async def test_a_proxy_of_the_environment_is_told_no_token(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with issuing() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        context = Context(settings(issuer, tmp_path), Database(UNUSED, "carts"))
        ledger = Services({"orders": issuer.url}, context.own_token)
        try:
            assert (await context.http.get(f"{issuer.url}/keys")).json() == issuer.told()
            assert await ledger.get("orders", "/keys") == issuer.told()
        finally:
            await ledger.aclose()
            await context.close()
        assert proxy.asked == 0


async def test_an_issuer_that_answers_on_and_on_is_as_good_as_away(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces before the keys leave them as good as they are, but for the memory that they take."""
    monkeypatch.setattr(issuer_keys, "BETWEEN", 0.0)
    async with httpx.AsyncClient() as http:
        keys = issuer_keys.IssuerKeys(issuer.url, None, lambda: http)
        issuer.before = b" " * issuer_keys.LONGEST_ANSWER
        with pytest.raises(issuer_keys.IssuerAway):
            await keys.known()
        issuer.before = issuer.before[4096:]
        assert len((await keys.known()).keys) == len(issuer.keys)
