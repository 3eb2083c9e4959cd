"""Who may do what, asked of a real service: by tokens of an issuer, each checked by its signature and its claims."""

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from backbone.identity import issuer_keys, tokens
from backbone.ids import new_id
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_orders import body
from tests.issuing import Issuer, bearing, issuing, signed
from tests.waiting import eventually

OWN = ("orders.place.own", "orders.read.own", "orders.cancel.own")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> NewDatabase:
    return cache(new_database)


@pytest.fixture
async def orders(database: NewDatabase, issuer: Issuer) -> AsyncIterator[Fed]:
    async with fed(SERVICE, database, issuer=issuer.url) as service:
        yield service


async def placed(orders: Fed, issuer: Issuer, name: str) -> str:
    told = await orders.client.post("/orders", json=_body(name), headers=bearing(issuer.token(name, *OWN)))
    assert told.status_code == 202, told.text
    order: str = told.json()["id"]
    return order


def _body(name: str) -> dict[str, Any]:
    return body(customer={"id": name, "name": name.title(), "email": f"{name}@example.com"})


async def test_without_a_token_nothing_is_read_and_the_answer_says_what_it_takes(orders: Fed, issuer: Issuer) -> None:
    for sent in (
        {},
        {"Authorization": "Basic YWRhOmFkYQ=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
    ):
        told = await orders.client.get("/orders", headers=sent)
        assert (told.status_code, told.headers["WWW-Authenticate"]) == (401, 'Bearer realm="sliceline"')
        assert told.json()["type"] == "/problems/not-authorized"
        assert f"a token of {issuer.url}: " in told.json()["detail"]
    refused = await orders.client.post("/orders", content=b"{" * 10, headers={"Content-Type": "application/json"})
    assert refused.status_code == 401  # before the body is looked at


async def test_a_token_in_the_address_is_none(orders: Fed, issuer: Issuer) -> None:
    told = await orders.client.get("/orders", params={"access_token": issuer.token("ada", "orders.read")})
    assert told.status_code == 401


async def test_two_tokens_are_malformed(orders: Fed, issuer: Issuer) -> None:
    pair = [("Authorization", f"Bearer {issuer.token(each, 'orders.read')}") for each in ("ada", "bob")]
    assert (await orders.client.get("/orders", headers=pair)).status_code == 400


async def test_a_token_without_the_scope_is_told_which_one_it_lacks(orders: Fed, issuer: Issuer) -> None:
    told = await orders.client.get("/orders", headers=bearing(issuer.token("ada", "stock.read")))
    assert told.status_code == 403
    assert 'error="insufficient_scope", scope="orders.read.own"' in told.headers["WWW-Authenticate"]


async def test_what_is_open_asks_nobody(orders: Fed) -> None:
    for path in ("/", "/menu", "/health/live", "/metrics", "/openapi.json", "/problems"):
        assert (await orders.client.get(path)).status_code == 200
    assert (await orders.client.get("/nowhere")).status_code == 404


async def test_a_customer_places_sees_and_cancels_her_own_orders_alone(orders: Fed, issuer: Issuer) -> None:
    hers, his = await placed(orders, issuer, "ada"), await placed(orders, issuer, "bob")
    as_ada = bearing(issuer.token("ada", *OWN))
    assert (await orders.client.get(f"/orders/{hers}", headers=as_ada)).status_code == 200
    for method, path in (("GET", ""), ("GET", "/stream"), ("POST", "/cancel"), ("HEAD", "")):
        told = await orders.client.request(method, f"/orders/{his}{path}", headers=as_ada)
        there_is_none = await orders.client.request(method, f"/orders/{new_id()}{path}", headers=as_ada)
        assert told.status_code == there_is_none.status_code == 404
        assert told.text.replace(his, "").count("bob") == 0
    shown = (await orders.client.get("/orders", headers=as_ada)).json()["items"]
    assert {each["customer"]["id"] for each in shown} == {"ada"}
    assert (await orders.client.get("/orders?customer=bob", headers=as_ada)).status_code == 403
    assert (await orders.client.post("/orders", json=_body("bob"), headers=as_ada)).status_code == 403
    cancelled = await orders.client.post(f"/orders/{hers}/cancel", headers=as_ada)
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (await orders.client.get(f"/orders/{his}", headers=bearing(issuer.token("eve", "orders.read")))).json()[
        "status"
    ] == "placed"


async def test_who_acts_is_whom_the_token_names_whatever_a_header_says(orders: Fed, issuer: Issuer) -> None:
    order = await placed(orders, issuer, "ada")
    sent = bearing(issuer.token("olga", "orders.cancel", "orders.read")) | {"X-Actor": "mallory"}
    told = await orders.client.post(f"/orders/{order}/cancel", headers=sent)
    assert told.status_code == 202
    assert "olga" in told.text
    assert "mallory" not in told.text


async def test_a_key_is_its_senders_alone(orders: Fed, issuer: Issuer) -> None:
    """Or who guesses another's Idempotency-Key is told the other's order."""
    key = {"Idempotency-Key": new_id()}
    first = await orders.client.post("/orders", json=_body("ada"), headers=bearing(issuer.token("ada", *OWN)) | key)
    again = await orders.client.post("/orders", json=_body("ada"), headers=bearing(issuer.token("ada", *OWN)) | key)
    assert again.json() == first.json()
    staff = bearing(issuer.token("olga", "orders.place"))
    other = await orders.client.post("/orders", json=_body("ada"), headers=staff | key)
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def _unsigned(issuer: Issuer) -> str:
    parts = ({"alg": "none", "typ": "at+jwt"}, issuer.claims("ada", "orders.read"))
    return ".".join(_encoded(json.dumps(each).encode()) for each in parts) + "."


def _with_the_public_key_for_a_secret(issuer: Issuer) -> str:
    header = {"alg": "HS256", "kid": issuer.keys[0].kid, "typ": "at+jwt"}
    said = ".".join(_encoded(json.dumps(each).encode()) for each in (header, issuer.claims("ada", "orders.read")))
    return f"{said}.{_encoded(hmac.digest(issuer.keys[0].as_pem(private=False), said.encode(), 'sha256'))}"


def _with_a_key_of_his_own(issuer: Issuer, **header: Any) -> str:
    key = ECKey.generate_key("P-256", {"kid": str(issuer.keys[0].kid)})
    return signed(issuer.claims("ada", "orders.read"), key, **header)


def _that_brings_its_key(issuer: Issuer) -> str:
    key = ECKey.generate_key("P-256", {"kid": "mine"})
    return signed(issuer.claims("ada", "orders.read"), key, jwk=key.as_dict(private=False))


def _changed_afterwards(issuer: Issuer) -> str:
    head, _, signature = issuer.token("ada", "orders.read.own").split(".")
    claims = json.dumps(issuer.claims("ada", "orders.read")).encode()
    return f"{head}.{_encoded(claims)}.{signature}"


def _with(issuer: Issuer, more: bytes) -> str:
    """Signed by the issuer, with members that no encoder of JSON would write."""
    claims = json.dumps(issuer.claims("ada", "orders.read")).encode().removesuffix(b"}") + b", " + more + b"}"
    return jws.serialize_compact({"alg": "ES256", "kid": issuer.keys[0].kid}, claims, issuer.keys[0])


def saying(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token("ada", "orders.read", **changes)


FORGED: dict[str, Callable[[Issuer], str]] = {
    "unsigned": _unsigned,
    "signed with the public key": _with_the_public_key_for_a_secret,
    "signed with another key of the same name": _with_a_key_of_his_own,
    "signed with a key it brings": _that_brings_its_key,
    "signed with another kind of key": lambda issuer: jwt.encode(
        {"alg": "RS256", "kid": issuer.keys[0].kid}, issuer.claims("ada", "orders.read"), RSAKey.generate_key(2048)
    ),
    "changed afterwards": _changed_afterwards,
    "of another issuer": saying(iss="http://elsewhere.example"),
    "of no issuer": saying(iss=None),
    "for somebody else": saying(aud="another-shop"),
    "for nobody": saying(aud=None),
    "over": saying(exp=int(time.time()) - tokens.LEEWAY - 5),
    "without an end": saying(exp=None),
    "that ends in words": saying(exp="never"),
    "that ends beyond all numbers": saying(exp=10**400),
    "nested without end": lambda issuer: _with(issuer, b'"more": ' + b"[" * 2500 + b"]" * 2500),
    "not valid yet": saying(nbf=int(time.time()) + 3600),
    "made in the future": saying(iat=int(time.time()) + 3600),
    "about nobody": saying(sub=None),
    "about a number": saying(sub=7),
    "about half a character": lambda issuer: _with(issuer, rb'"sub": "ada\ud800"'),
    "about several lines": saying(sub="ada\nX-Admin: yes"),
    "about what is sealed": saying(sub=f"sealed:1:orders.{'A' * 22}:{'A' * 38};"),
    "with a list of scopes": saying(scope=["orders.read"]),
    "of half a token": lambda issuer: issuer.token("ada", "orders.read").rpartition(".")[0],
    "of no token at all": lambda _: "x",
    "of another kind": lambda issuer: signed(issuer.claims("ada", "orders.read"), issuer.keys[0], typ="logout+jwt"),
    "too long": saying(more="x" * tokens.LONGEST),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_token_that_is_not_sound_lets_nobody_in(
    orders: Fed, issuer: Issuer, forge: Callable[[Issuer], str]
) -> None:
    told = await orders.client.get("/orders", headers=bearing(forge(issuer)))
    assert told.status_code == 401
    assert 'error="invalid_token"' in told.headers["WWW-Authenticate"]
    twice = await orders.client.post("/orders", json=_body("ada"), headers=bearing(forge(issuer)))
    assert twice.status_code == 401  # the short way in is no way around


async def test_a_token_that_is_known_is_refused_once_it_is_over(orders: Fed, issuer: Issuer) -> None:
    sent = bearing(issuer.token("ada", "orders.read", exp=int(time.time()) - tokens.LEEWAY + 2))
    assert (await orders.client.get("/orders", headers=sent)).status_code == 200

    async def is_over() -> bool:
        return (await orders.client.get("/orders", headers=sent)).status_code == 401

    await eventually(is_over)


async def test_a_stream_ends_with_the_token_that_it_was_asked_for_with(orders: Fed, issuer: Issuer) -> None:
    order = await placed(orders, issuer, "ada")
    sent = bearing(issuer.token("ada", *OWN, exp=int(time.time()) - tokens.LEEWAY + 2))
    async with asyncio.timeout(10):  # its next heartbeat would be later
        told = await orders.client.get(f"/orders/{order}/stream", headers=sent)
    assert told.status_code == 200
    assert '"status":"placed"' in told.text
    assert (await orders.client.get(f"/orders/{order}/stream", headers=sent)).status_code == 401


async def test_a_new_key_counts_at_once_and_an_old_one_as_long_as_it_is_told(
    database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "BETWEEN", 0.0)
    monkeypatch.setattr(tokens, "REMEMBERED", 0.0)
    with issuing() as issuer:
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            old = bearing(issuer.token("ada", "orders.read"))
            assert (await orders.client.get("/orders", headers=old)).status_code == 200
            issuer.rotate()
            new = bearing(issuer.token("ada", "orders.read"))
            assert (await orders.client.get("/orders", headers=new)).status_code == 200
            assert (await orders.client.get("/orders", headers=old)).status_code == 200
            issuer.keys.pop()
            monkeypatch.setattr(issuer_keys, "KEPT", 0.0)

            async def is_refused() -> bool:
                return (await orders.client.get("/orders", headers=old)).status_code == 401

            await eventually(is_refused)
            assert (await orders.client.get("/orders", headers=new)).status_code == 200


async def test_a_key_that_we_cannot_read_is_nothing_to_the_others(database: NewDatabase) -> None:
    with issuing() as issuer:
        issuer.others = [
            {"kty": "EC", "crv": "P-1024", "kid": "later", "x": "AA", "y": "AA"},
            {"kty": "EC", "crv": "P-256", "kid": "off the curve", "x": "AA", "y": "AA"},
            {"kty": "RSA", "kid": "half"},
            {"kty": "OKP", "crv": "Ed999", "x": "AA"},
            {"kty": "EC"},
        ]
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            told = await orders.client.get("/orders", headers=bearing(issuer.token("ada", "orders.read")))
            assert told.status_code == 200


async def test_of_what_keycloak_signs_access_tokens_alone_let_in(database: NewDatabase) -> None:
    """Header and claims are as Keycloak 26.7.3 sent them: it calls all of them "JWT", and signs with RS256."""
    with issuing() as issuer:
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        encrypts = RSAKey.generate_key(2048, {"use": "enc", "alg": "RSA-OAEP"}, auto_kid=True)
        issuer.others = [each.as_dict(private=False) for each in (encrypts, key)]
        both = {"azp": "sliceline-cli", "sid": "V7cirtU7ATS_6FiRzdK7yfHo"}
        access = {**both, "typ": "Bearer", "jti": "onrtac:a0f223e9-7af9-83d4-e6e5-5fdb64b50950"}
        knowing = {**both, "typ": "ID", "jti": "c45aaec9-a581-f73b-0b15-d5921c4f2e7a", "aud": "sliceline-cli"}
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            for told, status in ((access, 200), (knowing, 401)):
                claims = issuer.claims("ada", "openid", "orders.read.own", **told)
                sent = bearing(signed(claims, key, alg="RS256", typ="JWT"))
                assert (await orders.client.get("/orders", headers=sent)).status_code == status
            refresh = {**both, "typ": "Refresh", "aud": issuer.url, "aud_x": "sliceline", "prov": "default"}
            shared = OctKey.generate_key(512, auto_kid=True)
            claims = issuer.claims("ada", "openid", "orders.read.own", **refresh)
            sent = bearing(jwt.encode({"alg": "HS512", "kid": shared.kid}, claims, shared, algorithms=["HS512"]))
            assert (await orders.client.get("/orders", headers=sent)).status_code == 401


async def test_made_up_keys_have_the_issuer_asked_no_oftener(database: NewDatabase) -> None:
    with issuing() as issuer:
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            for _ in range(20):
                token = signed(issuer.claims("ada", "orders.read"), ECKey.generate_key("P-256", auto_kid=True))
                assert (await orders.client.get("/orders", headers=bearing(token))).status_code == 401
            assert issuer.asked <= 2 + 2 * 2  # discovery and keys, for the first one and seldom after


async def test_whoever_makes_up_a_key_holds_no_place_while_the_issuer_takes_long(
    database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "BETWEEN", 0.0)
    monkeypatch.setattr(issuer_keys, "CALL_SECONDS", 600.0)
    with issuing() as issuer:
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            sent = bearing(issuer.token("ada", *OWN))
            assert (await orders.client.get("/orders", headers=sent)).status_code == 200
            issuer.answers.clear()
            made_up = bearing(signed(issuer.claims("ada"), ECKey.generate_key("P-256", auto_kid=True)))
            asked = [orders.client.post("/orders", json=_body("ada"), headers=made_up) for _ in range(80)]
            async with asyncio.timeout(60):  # the issuer has not answered yet
                told = {each.status_code for each in await asyncio.gather(*asked)}
            assert told <= {429, 503}
            assert (await orders.client.post("/orders", json=_body("ada"), headers=sent)).status_code == 202
            issuer.rotate()
            issuer.answers.set()
            new = bearing(issuer.token("ada", *OWN))

            async def is_let_in() -> bool:
                return (await orders.client.get("/orders", headers=new)).status_code == 200

            await eventually(is_let_in)


async def test_an_issuer_that_is_away_is_a_moment_and_known_keys_go_on(
    database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "BETWEEN", 0.0)
    monkeypatch.setattr(issuer_keys, "KEPT", 0.0)
    with issuing() as issuer:
        async with fed(SERVICE, database, issuer=issuer.url) as orders:
            sent = bearing(issuer.token("ada", "orders.read"))
            issuer.is_away = True
            told = await orders.client.get("/orders", headers=sent)
            assert (told.status_code, told.headers["Retry-After"]) == (503, "1")
            assert (await orders.client.get("/menu")).status_code == 200
            issuer.is_away = False
            assert (await orders.client.get("/orders", headers=sent)).status_code == 200
            issuer.is_away = True
            another = bearing(issuer.token("bob", "orders.read"))
            assert (await orders.client.get("/orders", headers=another)).status_code == 200


async def test_the_description_tells_who_may_do_what(orders: Fed) -> None:
    document = (await orders.client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/orders"]["get"]["security"] == [
        {"token": ["orders.read"]},
        {"token": ["orders.read.own"]},
    ]
    assert {"401", "403"} <= document["paths"]["/orders"]["get"]["responses"].keys()
    assert document["paths"]["/menu"]["get"]["security"] == []
