"""A login of the console goes on as long as the issuer renews it, at the sandbox's identity provider."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from deployment import people
from local import programs
from local.ports import free_port
from local.program import run
from services.console.application import COOKIE, create_application
from services.console.asking import Services
from services.console.settings import ConsoleSettings

URL = "http://127.0.0.1:8000"
SOON_OVER = 30
"""Seconds that tokens last here: less than those before its end at which one is renewed."""


@dataclass
class Console:
    """The console as a browser meets it, and where the provider keeps passwords."""

    browser: httpx.AsyncClient
    application: Starlette
    identity: Path
    issuer: str

    async def log_in(self, who: str, to: str = "/") -> httpx.Response:
        begun = await self.browser.get("/login", params={"to": to})
        asked = dict(parse_qsl(urlsplit(begun.headers["location"]).query))
        password = (self.identity / "people" / who / "password").read_text().strip()
        async with httpx.AsyncClient(trust_env=False) as outside:
            answer = await outside.post(
                f"{self.issuer}/authorize", data={**asked, "username": who, "password": password}
            )
        return await self.browser.get(answer.headers["location"])

    async def token(self) -> str:
        """The token that the cookie holds."""
        session = await self.application.state.console._login.of_cookie(self.browser.cookies[COOKIE])
        return str(session.token)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder, port = tmp_path_factory.mktemp("identity"), free_port()
    program = programs.identity(port, folder)
    server = run(replace(program, env={**program.env, "SLICELINE_TOKEN_SECONDS": str(SOON_OVER)}), folder / "log")
    yield f"http://127.0.0.1:{port}", folder
    server.stop()


@pytest.fixture
async def console(provider: tuple[str, Path]) -> AsyncIterator[Console]:
    issuer, folder = provider
    settings = ConsoleSettings(
        services=f"orders={URL}",
        console_url=URL,
        issuer=issuer,
        issuer_keys=None,
        issuer_tokens=None,
        identity_key_file=people.key_of(folder, people.CONSOLE),
    )
    http = httpx.AsyncClient(trust_env=False)
    application = create_application(settings, http, Services(http, {}))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as browser:
        yield Console(browser, application, folder, issuer)
    await application.state.console.aclose()


async def test_a_token_that_ends_soon_is_renewed_and_the_cookie_with_it(console: Console) -> None:
    await console.log_in("kim")
    before = console.browser.cookies[COOKIE]
    page = await console.browser.get("/")
    assert ">kim<" in page.text
    assert console.browser.cookies[COOKIE] != before
    assert "HttpOnly" in page.headers["set-cookie"]


async def test_a_login_leads_back_to_the_page_and_to_none_of_elsewhere(console: Console) -> None:
    assert 'content="0;url=/kitchen?x=1"' in (await console.log_in("kim", "/kitchen?x=1")).text
    for to in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
        assert 'content="0;url=/"' in (await console.log_in("kim", to)).text, to


async def test_a_login_that_another_browser_has_begun_is_nobodys(console: Console) -> None:
    begun = await console.browser.get("/login")
    state = dict(parse_qsl(urlsplit(begun.headers["location"]).query))["state"]
    console.browser.cookies.clear()
    answer = await console.browser.get("/login/back", params={"code": "x", "state": state})
    assert (answer.status_code, COOKIE in console.browser.cookies) == (401, False)
    assert "log in again" in answer.text


async def test_who_comes_with_no_cookie_is_sent_to_log_in_and_back(console: Console) -> None:
    led = await console.browser.get("/kitchen", params={"x": "1"})
    assert (led.status_code, led.headers["location"]) == (303, "/login?to=%2Fkitchen%3Fx%3D1")
    assert (await console.browser.post("/logout")).status_code == 303


async def test_each_page_says_that_nothing_in_it_runs_but_what_the_console_serves(console: Console) -> None:
    policy = (await console.browser.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
