"""The sandbox's identity provider over HTTP, as a plain client of OpenID Connect meets it."""

import asyncio
import hmac
import json
import re
import secrets
import stat
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from local.ports import free_port
from sandbox.identity import __main__ as program
from sandbox.identity.provider import IdentityProvider, Settings
from sandbox.identity.server import create_app
from sandbox.serving import Server
from tests.integration.test_sandbox import running
from tests.waiting import wait_until

Json = dict[str, Any]
REDIRECT = "http://127.0.0.1:43210/callback"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ROBOT = ECKey.generate_key("P-256", {"kid": "first"})
SECONDS = 900


def a_register(**changes: Any) -> Json:
    return {
        "audience": "sliceline",
        "roles": {
            "customer": ["orders.place", "orders.read"],
            "kitchen": ["kitchen.press"],
            "courier": ["delivery.press"],
        },
        "users": [{"sub": "ann", "name": "Ann <b>", "roles": ["customer"]}, {"sub": "bob", "name": "Bob"}],
        "clients": [
            {"id": "cli", "redirects": ["http://127.0.0.1/callback", "http://[::1]/", "https://shop.test/in?at=1"]},
            {"id": "other", "redirects": ["http://127.0.0.1/callback"]},
            {"id": "robot", "roles": ["kitchen", "courier"], "keys": "robot.jwks.json"},
            {"id": "pages", "redirects": ["http://127.0.0.1/callback"], "keys": "robot.jwks.json"},
        ],
    } | changes


def jwks(*keys: Key) -> str:
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


@dataclass
class Clock:
    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Home:
    """Where a provider keeps what it must not forget."""

    path: Path
    register: Json = field(default_factory=a_register)

    def __post_init__(self) -> None:
        self.file.write_text(json.dumps(self.register))
        self.robots_keys.write_text(jwks(ROBOT))

    @property
    def file(self) -> Path:
        return self.path / "register.json"

    @property
    def folder(self) -> Path:
        return self.path / "identity"

    @property
    def robots_keys(self) -> Path:
        return self.path / "robot.jwks.json"

    def password(self, sub: str) -> Path:
        return self.folder / "people" / sub / "password"


@dataclass
class Met:
    """A provider as its clients meet it."""

    url: str
    home: Home
    clock: Clock
    http: httpx.AsyncClient

    async def log_in(self, sub: str = "ann", password: str | None = None, **request: Any) -> httpx.Response:
        """Open the page for a request, fill in its form as a browser would, and send it."""
        page = await self.http.get("/authorize", params=request)
        assert page.status_code == 200, page.text
        names = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
        hidden = {unescape(name): unescape(value) for name, value in names}
        given = self.home.password(sub).read_text().strip() if password is None else password
        return await self.http.post("/authorize", data=hidden | {"username": sub, "password": given})

    async def code(self, verifier: str, **changes: Any) -> str:
        answer = await self.log_in(**asked(verifier, **changes))
        assert answer.status_code == 303, answer.text
        return told(answer)["code"]

    async def exchange(self, code: str, verifier: str, **changes: Any) -> httpx.Response:
        body = {"grant_type": "authorization_code", "client_id": "cli", "redirect_uri": REDIRECT}
        return await self.http.post("/token", data=body | {"code": code, "code_verifier": verifier} | changes)

    async def prove(self, assertion: str, **changes: Any) -> httpx.Response:
        body = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        return await self.http.post("/token", data=body | changes)

    async def keys(self) -> KeySet:
        return KeySet.import_key_set((await self.http.get("/keys")).json())

    def claims(self, **changes: Any) -> Json:
        now = int(self.clock())
        about = {"iss": "robot", "sub": "robot", "aud": self.url, "iat": now, "exp": now + 60}
        return about | {"jti": secrets.token_hex(8)} | changes

    def assertion(self, key: Key = ROBOT, alg: str = "ES256", **changes: Any) -> str:
        return jwt.encode({"alg": alg, "kid": key.kid}, self.claims(**changes), key, [alg])


@asynccontextmanager
async def meeting(url: str, home: Home, clock: Clock | None = None) -> AsyncIterator[Met]:
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
        yield Met(url, home, clock or Clock(), http)


@contextmanager
def serving(home: Home, clock: Callable[[], float]) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Server(
        create_app(IdentityProvider(Settings(url, home.folder, home.file, SECONDS), clock)), "127.0.0.1", port
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 10)
        yield url
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Home]]:
    home = Home(tmp_path_factory.mktemp("identity"))
    with serving(home, Clock()) as url:
        yield url, home


@pytest.fixture
async def met(shared: tuple[str, Home]) -> AsyncIterator[Met]:
    """A provider that many tests meet."""
    async with meeting(*shared) as each:
        yield each


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Met]:
    """A provider for a test that moves its clock, changes its files, or fails to log in."""
    home, clock = Home(tmp_path), Clock()
    with serving(home, clock) as url:
        async with meeting(url, home, clock) as each:
            yield each


def asked(verifier: str, **changes: Any) -> Json:
    digest = base64(sha256(verifier.encode()).digest())
    request = {"response_type": "code", "client_id": "cli", "redirect_uri": REDIRECT, "state": "s&1"}
    pkce = {"code_challenge": digest, "code_challenge_method": "S256"}
    return {name: value for name, value in (request | pkce | changes).items() if value is not None}


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(alg: str, claims: Json, sign: Callable[[bytes], bytes]) -> str:
    """A token that the library refuses to make."""
    parts = ({"alg": alg, "kid": ROBOT.kid}, claims)
    text = ".".join(base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{base64(sign(text.encode()))}"


def told(answer: httpx.Response) -> dict[str, str]:
    """What the client is told by way of the browser."""
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["error_description"].isascii()
    return answer.status_code, answer.json()["error"]


@pytest.fixture
def verifier() -> str:
    return secrets.token_urlsafe(48)


async def test_discovery_names_endpoints_that_answer(met: Met) -> None:
    document = (await met.http.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == met.url
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["grant_types_supported"] == ["authorization_code", "client_credentials", "refresh_token"]
    assert document["token_endpoint_auth_methods_supported"] == ["none", "private_key_jwt"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["scopes_supported"][0] == "openid"
    assert "kitchen.press" in document["scopes_supported"]
    statuses = [
        (await met.http.request(method, document[name])).status_code
        for method, name in (
            ("GET", "authorization_endpoint"),
            ("POST", "token_endpoint"),
            ("GET", "userinfo_endpoint"),
            ("GET", "jwks_uri"),
        )
    ]
    assert statuses == [400, 400, 401, 200]
    keys = await met.http.get("/keys")
    assert keys.headers["cache-control"] == "public, max-age=60"
    assert [set(key) for key in keys.json()["keys"]] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]


async def test_whoever_logs_in_gets_tokens_that_anybody_can_verify(met: Met, verifier: str) -> None:
    back = await met.log_in(**asked(verifier, scope="openid orders.place kitchen.press", nonce="n1"))
    assert back.headers["location"].startswith(f"{REDIRECT}?")
    assert told(back) == {"code": told(back)["code"], "state": "s&1", "iss": met.url}
    answer = await met.exchange(told(back)["code"], verifier)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    given = answer.json()
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", SECONDS, "openid orders.place")
    access = jwt.decode(given["access_token"], await met.keys(), ["ES256"])
    jwt.JWTClaimsRegistry(exp={"essential": True}).validate(access.claims)
    assert access.header["typ"] == "at+jwt"
    about = {"iss": met.url, "sub": "ann", "aud": "sliceline", "client_id": "cli", "roles": ["customer"]}
    assert access.claims | about | {"scope": "openid orders.place"} == access.claims
    assert access.claims["exp"] - access.claims["iat"] == SECONDS
    assert access.claims["jti"]
    identity = jwt.decode(given["id_token"], await met.keys(), ["ES256"]).claims
    assert identity | {"iss": met.url, "sub": "ann", "aud": "cli", "nonce": "n1", "name": "Ann <b>"} == identity
    assert identity["auth_time"] <= identity["iat"] < identity["exp"]
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert (await met.http.get("/userinfo", headers=bearer)).json() == {"sub": "ann", "name": "Ann <b>"}
    not_one = {"Authorization": f"Bearer {given['id_token']}"}
    assert (await met.http.get("/userinfo", headers=not_one)).headers["www-authenticate"].startswith("Bearer")


async def test_without_a_scope_a_token_has_all_that_ones_roles_give(met: Met, verifier: str) -> None:
    given = (await met.exchange(await met.code(verifier), verifier)).json()
    assert given["scope"] == "orders.place orders.read"
    assert "id_token" not in given
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert (await met.http.get("/userinfo", headers=bearer)).status_code == 401


async def test_a_scope_of_others_is_not_given(met: Met, verifier: str) -> None:
    back = await met.log_in(**asked(verifier, scope="kitchen.press"))
    assert told(back)["error"] == "invalid_scope"
    assert refusal(await met.prove(met.assertion(), scope="orders.place openid")) == (400, "invalid_scope")
    given = (await met.prove(met.assertion(), scope="kitchen.press orders.place")).json()
    assert given["scope"] == "kitchen.press"


async def test_a_code_works_once_and_only_with_its_verifier(met: Met, verifier: str) -> None:
    code = await met.code(verifier)
    first = await met.exchange(code, verifier)
    assert first.status_code == 200
    assert refusal(await met.exchange(code, verifier)) == (400, "invalid_grant")
    jwt.decode(first.json()["access_token"], await met.keys(), ["ES256"])
    for changes in (
        {"code_verifier": secrets.token_urlsafe(48)},
        {"client_id": "other"},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
    ):
        answer = await met.exchange(await met.code(verifier), verifier, **changes)
        assert refusal(answer) == (400, "invalid_grant"), changes
    missing = await met.exchange(await met.code(verifier), "")
    assert refusal(missing) == (400, "invalid_request")


async def test_a_code_is_worth_nothing_after_a_minute(own: Met, verifier: str) -> None:
    in_time, late = await own.code(verifier), await own.code(verifier)
    own.clock.ahead = 58
    assert (await own.exchange(in_time, verifier)).status_code == 200
    own.clock.ahead = 61
    assert refusal(await own.exchange(late, verifier)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.test/callback"},
        {"redirect_uri": "http://127.0.0.1:80/other"},
        {"redirect_uri": "http://127.0.0.1:80@evil.test/callback"},
        {"redirect_uri": "http://localhost:80/callback"},
        {"redirect_uri": "http://127.0.0.1:80/callback?x=1"},
        {"redirect_uri": "http://127.0.0.1:80/call\nback"},
        {"redirect_uri": "http://127.0.0.1:99999/callback"},
        {"redirect_uri": "https://shop.test:444/in?at=1"},
        {"redirect_uri": [REDIRECT, REDIRECT]},
        {"client_id": "robot"},
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_the_clients(met: Met, verifier: str, changes: Json) -> None:
    answer = await met.http.get("/authorize", params=asked(verifier, **changes))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_a_loopback_address_may_have_any_port_and_another_its_own_query(met: Met, verifier: str) -> None:
    for redirect in ("http://127.0.0.1/callback", "http://[::1]:5555/", "https://shop.test/in?at=1"):
        back = await met.log_in(**asked(verifier, redirect_uri=redirect))
        assert back.headers["location"].startswith(redirect)
        code = told(back)["code"]
        assert (await met.exchange(code, verifier, redirect_uri=redirect)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": ["openid", "openid"]}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
    ],
)
async def test_what_else_is_wrong_goes_back_to_the_client(met: Met, verifier: str, changes: Json, error: str) -> None:
    answer = await met.http.get("/authorize", params=asked(verifier, **changes))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{REDIRECT}?")
    assert (told(answer)["error"], told(answer)["state"], told(answer)["iss"]) == (error, "s&1", met.url)


async def test_the_login_page_shows_what_it_was_sent_as_text_and_is_framed_by_nobody(met: Met, verifier: str) -> None:
    spiteful = '"><script>alert(1)</script>'
    request = asked(verifier, state=spiteful, nonce=spiteful)
    pages = [await met.http.get("/authorize", params=request), await met.log_in(spiteful, "wrong", **request)]
    for page in pages:
        assert "<script" not in page.text
        assert page.text.count("&lt;script&gt;") >= 2
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self' http://127.0.0.1:43210" in policy
        assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    assert [page.status_code for page in pages] == [200, 403]
    assert told(await met.log_in(**request))["state"] == spiteful


async def test_guessing_is_slow_and_ends_after_ten_failures(own: Met, verifier: str) -> None:
    request = asked(verifier)
    began = time.monotonic()
    assert (await own.log_in("ann", "wrong", **request)).status_code == 403
    assert time.monotonic() - began >= 0.25
    guesses = await asyncio.gather(*(own.log_in("ann", f"guess {number}", **request) for number in range(12)))
    assert sorted(guess.status_code for guess in guesses) == [403] * 9 + [429] * 3
    shut = await own.log_in("ann", **request)
    assert (shut.status_code, "location" in shut.headers) == (429, False)
    assert 0 < int(shut.headers["retry-after"]) <= 60
    assert (await own.log_in("bob", **request)).status_code == 303
    own.clock.ahead = 61
    assert (await own.log_in("ann", **request)).status_code == 303


async def test_a_name_that_nobody_has_is_answered_as_one_that_somebody_has(own: Met, verifier: str) -> None:
    request = asked(verifier)
    unknown, known = [await own.log_in(name, "wrong", **request) for name in ("nobody", "ann")]
    assert unknown.status_code == known.status_code == 403
    assert unknown.text.replace("nobody", "ann") == known.text
    assert (await own.log_in("../ann", "wrong", **request)).status_code == 403


async def test_a_login_that_succeeds_forgives_the_failures_before_it(own: Met, verifier: str) -> None:
    request = asked(verifier)
    for _ in range(2):
        failed = await asyncio.gather(*(own.log_in("ann", "wrong", **request) for _ in range(9)))
        assert {answer.status_code for answer in failed} == {403}
        assert (await own.log_in("ann", **request)).status_code == 303


async def test_a_password_is_exchanged_by_its_file(own: Met, verifier: str) -> None:
    file = own.home.password("ann")
    old = file.read_text().strip()
    file.write_text("a new one\n")
    assert (await own.log_in("ann", old, **asked(verifier))).status_code == 403
    assert (await own.log_in("ann", "a new one", **asked(verifier))).status_code == 303
    file.write_text("\n")
    assert (await own.log_in("ann", " ", **asked(verifier))).status_code == 403
    file.unlink()
    assert (await own.log_in("ann", "a new one", **asked(verifier))).status_code == 403


async def test_keys_and_passwords_are_for_their_owners_eyes_alone(own: Met) -> None:
    for path in (own.home.folder, *own.home.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    passwords = {own.home.password(sub).read_text().strip() for sub in ("ann", "bob")}
    assert len(passwords) == 2
    assert min(map(len, passwords)) >= 24


async def test_a_client_that_signs_who_it_is_gets_a_token_of_its_own(met: Met) -> None:
    for audience in (met.url, f"{met.url}/token", [f"{met.url}/token", "else"]):
        answer = await met.prove(met.assertion(aud=audience))
        assert answer.status_code == 200, answer.text
    assert "id_token" not in answer.json()
    claims = jwt.decode(answer.json()["access_token"], await met.keys(), ["ES256"]).claims
    about = {"sub": "robot", "client_id": "robot", "roles": ["kitchen", "courier"], "aud": "sliceline"}
    assert claims | about | {"scope": "delivery.press kitchen.press"} == claims


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_clients_key_is_exchanged_without_a_restart(own: Met) -> None:
    second, third = OKPKey.generate_key("Ed25519", {"kid": "second"}), RSAKey.generate_key(2048, {"kid": "third"})
    assert refusal(await own.prove(own.assertion(second, "EdDSA"))) == (401, "invalid_client")
    own.home.robots_keys.write_text(jwks(ROBOT, second, third))
    signed = [own.assertion(), own.assertion(second, "EdDSA"), own.assertion(second, "Ed25519")]
    for assertion in (*signed, own.assertion(third, "RS256")):
        assert (await own.prove(assertion)).status_code == 200
    own.home.robots_keys.write_text(jwks(third, second))
    assert refusal(await own.prove(own.assertion())) == (401, "invalid_client")
    own.home.robots_keys.write_text("{")
    assert refusal(await own.prove(own.assertion(second, "EdDSA"))) == (401, "invalid_client")
    own.home.robots_keys.write_text(jwks(ROBOT))
    assert (await own.prove(own.assertion())).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://else.test"},
        {"aud": None},
        {"iss": "cli"},
        {"sub": "cli"},
        {"sub": ["robot"]},
        {"exp": int(time.time()) - 60},
        {"exp": int(time.time()) + 86_400},
        {"exp": None},
        {"exp": "soon"},
        {"jti": None},
        {"jti": 7},
        {"nbf": int(time.time()) + 86_400},
    ],
)
async def test_an_assertion_that_claims_something_else_is_refused(met: Met, changes: Json) -> None:
    assert refusal(await met.prove(met.assertion(**changes))) == (401, "invalid_client")


async def test_an_assertion_works_once(own: Met) -> None:
    assertion, other = own.assertion(jti="one"), own.assertion(jti="one", exp=int(own.clock()) + 100)
    assert (await own.prove(assertion)).status_code == 200
    for again in (assertion, other):
        assert refusal(await own.prove(again)) == (401, "invalid_client")
    own.clock.ahead = 50
    assert refusal(await own.prove(assertion)) == (401, "invalid_client")


async def test_an_assertion_that_is_not_signed_by_the_clients_key_is_refused(met: Met) -> None:
    public = ROBOT.as_pem(private=False)  # as if it were a shared secret
    stranger = ECKey.generate_key("P-256", {"kid": "first"})
    another = ECKey.generate_key("P-256", {"kid": "another"})
    for assertion in (
        by_hand("none", met.claims(), lambda _: b""),
        by_hand("HS256", met.claims(), lambda text: hmac.digest(public, text, "sha256")),
        met.assertion(stranger),
        met.assertion(another),
        "a.b.c",
        "[" * 3000,
        "",
        f"{base64(b'[' * 300)}.e30.",
        ".".join(base64(part) for part in (b'{"alg":"ES256"}', b"[" * 8000, b"")),
    ):
        assert refusal(await met.prove(assertion)) == (401, "invalid_client"), assertion[:80]


async def test_who_is_no_client_or_of_another_kind_is_refused(met: Met, verifier: str) -> None:
    code = await met.code(verifier)
    assert refusal(await met.exchange(code, verifier, client_id="nobody")) == (401, "invalid_client")
    assert refusal(await met.exchange(code, verifier, client_id="robot")) == (401, "invalid_client")
    assert (await met.exchange(code, verifier)).status_code == 200
    unproven = await met.http.post("/token", data={"grant_type": "client_credentials", "client_id": "cli"})
    assert refusal(unproven) == (401, "invalid_client")
    mixed = await met.prove(met.assertion(), client_id="cli")
    assert refusal(mixed) == (401, "invalid_client")
    other_type = await met.prove(met.assertion(), client_assertion_type="saml")
    assert refusal(other_type) == (401, "invalid_client")
    basic = await met.http.post("/token", data={"grant_type": "client_credentials"}, auth=("robot", "secret"))
    assert (refusal(basic), basic.headers["www-authenticate"]) == ((401, "invalid_client"), 'Basic realm="sandbox"')


async def test_a_login_is_renewed_for_the_client_alone_that_shows_its_key(own: Met, verifier: str) -> None:
    code = await own.code(verifier, client_id="pages")
    given = (await own.exchange(code, verifier, **proof(own, "pages"))).json()
    renewal = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    for _ in range(2):
        renewed = (await own.http.post("/token", data=renewal | proof(own, "pages"))).json()
        assert renewed["scope"] == given["scope"] == "orders.place orders.read"
        assert jwt.decode(renewed["access_token"], await own.keys()).claims["sub"] == "ann"
    assert refusal(await own.http.post("/token", data=renewal | {"client_id": "pages"})) == (401, "invalid_client")
    assert refusal(await own.http.post("/token", data=renewal | {"client_id": "cli"})) == (401, "invalid_client")
    assert refusal(await own.http.post("/token", data=renewal | proof(own, "robot"))) == (400, "invalid_grant")
    other = renewal | {"refresh_token": "x"} | proof(own, "pages")
    assert refusal(await own.http.post("/token", data=other)) == (400, "invalid_grant")
    missing = {"grant_type": "refresh_token"} | proof(own, "pages")
    assert refusal(await own.http.post("/token", data=missing)) == (400, "invalid_request")


async def test_a_login_is_renewed_for_a_working_day(own: Met, verifier: str) -> None:
    code = await own.code(verifier, client_id="pages")
    given = (await own.exchange(code, verifier, **proof(own, "pages"))).json()
    renewal = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    own.clock.ahead = 8 * 3600 - 60
    assert (await own.http.post("/token", data=renewal | proof(own, "pages"))).status_code == 200
    own.clock.ahead = 8 * 3600 + 60
    assert refusal(await own.http.post("/token", data=renewal | proof(own, "pages"))) == (400, "invalid_grant")


async def test_a_login_that_was_ended_is_renewed_no_more_and_nobody_ends_anothers(own: Met, verifier: str) -> None:
    code = await own.code(verifier, client_id="pages")
    token = (await own.exchange(code, verifier, **proof(own, "pages"))).json()["refresh_token"]
    renewal = {"grant_type": "refresh_token", "refresh_token": token}
    assert refusal(await own.http.post("/revoke", data={"token": token, "client_id": "pages"})) == (
        401,
        "invalid_client",
    )
    assert (await own.http.post("/revoke", data={"token": token} | proof(own, "robot"))).status_code == 200
    assert (await own.http.post("/token", data=renewal | proof(own, "pages"))).status_code == 200
    assert (await own.http.post("/revoke", data={"token": token} | proof(own, "pages"))).status_code == 200
    assert refusal(await own.http.post("/token", data=renewal | proof(own, "pages"))) == (400, "invalid_grant")
    assert (await own.http.post("/revoke", data={"token": token} | proof(own, "pages"))).status_code == 200


async def test_a_client_without_a_key_gets_nothing_to_renew_a_login_with(met: Met, verifier: str) -> None:
    assert "refresh_token" not in (await met.exchange(await met.code(verifier), verifier)).json()


def proof(met: Met, client: str) -> dict[str, str]:
    """What shows the provider who a client is."""
    signed = met.assertion(iss=client, sub=client)
    return {"client_id": client, "client_assertion_type": ASSERTION, "client_assertion": signed}


async def test_only_three_grants_are_known_and_only_as_a_form(met: Met) -> None:
    for kind in ("password", "implicit"):
        answer = await met.http.post("/token", data={"grant_type": kind, "client_id": "cli"})
        assert refusal(answer) == (400, "unsupported_grant_type")
    twice = await met.http.post("/token", data={"grant_type": ["x", "y"], "client_id": "cli"})
    assert refusal(twice) == (400, "invalid_request")
    assert refusal(await met.http.post("/token", data={"client_id": "cli"})) == (400, "invalid_request")
    assert refusal(await met.http.post("/token", json={"grant_type": "x"})) == (400, "invalid_request")
    assert refusal(await met.http.post("/token", data={"grant_type": "x" * 20_000})) == (413, "invalid_request")


async def test_a_key_that_was_replaced_is_shown_until_its_tokens_have_expired(own: Met) -> None:
    old = (await own.prove(own.assertion())).json()["access_token"]
    kid = (await own.http.post("/keys/rotate")).json()["kid"]
    new = (await own.prove(own.assertion())).json()["access_token"]
    assert jwt.decode(new, await own.keys(), ["ES256"]).header["kid"] == kid
    assert jwt.decode(old, await own.keys(), ["ES256"]).header["kid"] != kid
    own.clock.ahead = SECONDS - 5
    assert len((await own.keys()).keys) == 2
    own.clock.ahead = SECONDS + 1
    assert [key.kid for key in await own.keys()] == [kid]


async def test_shorter_tokens_after_a_restart_do_not_shorten_the_life_of_older_keys(tmp_path: Path) -> None:
    home, clock = Home(tmp_path), Clock()
    IdentityProvider(Settings("http://i.test", home.folder, home.file, 3600), clock)
    provider = IdentityProvider(Settings("http://i.test", home.folder, home.file, 60), clock)
    provider.rotate()
    clock.ahead = 3500
    assert len(provider.keys.shown().keys) == 2


async def test_a_restart_forgets_no_key_and_no_password(tmp_path: Path, verifier: str) -> None:
    home, port = Home(tmp_path), free_port()
    with serving(home, Clock()) as url:
        async with meeting(url, home) as met:
            old = (await met.prove(met.assertion())).json()["access_token"]
            kid = (await met.http.post("/keys/rotate")).json()["kid"]
    password, url = home.password("ann").read_text(), f"http://127.0.0.1:{port}"
    named = {
        "SLICELINE_IDENTITY_PORT": str(port),
        "SLICELINE_ISSUER": url,
        "SLICELINE_IDENTITY_FOLDER": str(home.folder),
        "SLICELINE_IDENTITY_REGISTER": str(home.file),
        "SLICELINE_TOKEN_SECONDS": "60",
    }
    with running("sandbox.identity", f"{url}/health/ready", **named) as process:
        async with meeting(url, home) as met:
            given = (await met.exchange(await met.code(verifier), verifier)).json()
            assert given["expires_in"] == 60
            keys = await met.keys()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == 0
    assert home.password("ann").read_text() == password
    assert jwt.decode(old, keys, ["ES256"]).claims["sub"] == "robot"
    assert jwt.decode(given["access_token"], keys, ["ES256"]).header["kid"] == kid


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Start the program where it cannot go on, and return what it exits with."""
    monkeypatch.setattr(sys, "argv", ["sandbox.identity", *arguments])
    with pytest.raises(SystemExit) as ended:
        program.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"roles": {}}, "there is no role"),
        ({"users": [{"sub": "robot", "name": "R"}]}, "robot is the name of more than one user or client"),
        ({"users": [{"sub": "../ann", "name": "A"}]}, "wrong at users.0.sub"),
        ({"clients": [{"id": "idle"}]}, "client idle needs redirects, or keys"),
        ({"clients": [{"id": "c", "redirects": ["http://else.test/"]}]}, "a redirect is an https address"),
        ({"clients": [{"id": "c", "redirects": ["https://a.test/"], "roles": ["kitchen"]}]}, "needs keys"),
        ({"clients": [{"id": "c", "keys": {"keys": [ROBOT.as_dict(private=True)]}}]}, "its private key stays with it"),
        ({"clients": [{"id": "c", "keys": {"key": []}}]}, "keys are a JWKS"),
        ({"surplus": 1}, "wrong at surplus"),
    ],
)
def test_a_register_that_is_wrong_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Json, sentence: str
) -> None:
    home = Home(tmp_path, a_register(**changes))
    code = start(monkeypatch, "--folder", str(home.folder), "--register", str(home.file))
    assert isinstance(code, str)
    assert sentence in code
    assert code.startswith(f"identity: the register {home.file} is wrong")
    assert "\n" not in code
    assert not home.folder.exists()


def test_settings_that_are_wrong_are_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    right = ["--folder", str(home.folder), "--register", str(home.file)]
    for wrong, sentence in (
        ([], "name a folder for keys and passwords"),
        ([*right, "--issuer", "http://127.0.0.1:8092/"], "without a slash at the end"),
        ([*right, "--issuer", "else"], "is not of the shape http://host:port"),
        ([*right, "--seconds", "0"], "not a number of seconds from 1 to 86,400"),
    ):
        assert start(monkeypatch, *wrong) == 2
        assert sentence in capsys.readouterr().err
    missing = start(monkeypatch, "--folder", str(home.folder), "--register", str(tmp_path / "none.json"))
    assert str(missing).startswith("identity: cannot read the register")
    blocked = start(monkeypatch, "--folder", str(home.file), "--register", str(home.file))
    assert str(blocked).startswith("identity: cannot keep keys and passwords")
    home.folder.mkdir()
    for wrong_keys in ("{}", '{"keys": [{"jwk": {"kty": "EC", "crv": "P-256"}, "seconds": 60}]}'):
        (home.folder / "keys.json").write_text(wrong_keys)
        assert "holds no keys of ours" in str(start(monkeypatch, *right))
