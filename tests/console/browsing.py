"""Looks at the console as people do: logged in as somebody, in a real browser."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from local import ROOT
from tests.processes import CONSOLE, System
from tests.waiting import DEADLINE

SCREENSHOTS = ROOT / ".sliceline" / "screenshots"
NARROW, WIDE = 360, 1280
HEIGHT = 800
COOKIE = "sliceline"
# Of the rules of axe-core those that say what is wrong, not what might be better.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_cookies: dict[tuple[str, str], str] = {}


class Site:
    """Is the console of a shop; it keeps what pages complained about, and whom they asked beside it."""

    def __init__(self, system: System, chromium: Browser) -> None:
        self.url = system.url(CONSOLE)
        self.system = system
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.expected = 0
        """How many pages this test is refused on purpose, of which a browser complains."""
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []

    async def as_(self, who: str | None, *, width: int = WIDE, **more: Any) -> Page:
        """Return a page in which somebody is logged in, or nobody."""
        context = await self._chromium.new_context(
            base_url=self.url, viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce", **more
        )
        self._contexts.append(context)
        if who is not None:
            await context.add_cookies([{"name": COOKIE, "value": cookie_of(self.system, who), "url": self.url}])
        page = await context.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)
        return page

    async def look(self, page: Page, name: str) -> None:
        """Have axe-core look at a page, wide and narrow, and keep a picture of each. Fails where it finds something."""
        found: list[str] = []
        for width in (WIDE, NARROW):
            await page.set_viewport_size({"width": width, "height": HEIGHT})
            beyond = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if beyond > 0:
                found.append(f"at {width} px it is {beyond} px too wide")
            found += [f"at {width} px: {each}" for each in await _barriers(page)]
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png", full_page=True)
        await page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        assert not found, f"{name}: {found}"

    async def close(self) -> None:
        """Close all pages of the test."""
        for context in self._contexts:
            await context.close()

    def check(self) -> None:
        """Fail where a page complained, or asked anybody but the console."""
        assert self.foreign == []
        assert len(self.complaints) <= self.expected, self.complaints

    def _heard(self, message: ConsoleMessage) -> None:
        where = str(message.location.get("url"))
        if message.type in ("error", "warning") and not where.startswith(self.system.url("identity")):
            self.complaints.append(f"{message.text} ({where})")

    def _asked(self, request: Request) -> None:
        known = (self.url, self.system.url("identity"), "data:", "blob:")
        if not request.url.startswith(known):
            self.foreign.append(request.url)


def cookie_of(system: System, who: str) -> str:
    """Return the cookie of somebody who has logged in, once for all tests."""
    at = (system.url(CONSOLE), who)
    if at not in _cookies:
        _cookies[at] = _logged_in(system, who)
    return _cookies[at]


def _logged_in(system: System, who: str) -> str:
    """Log in as a browser does, over HTTP."""
    password = (system.identity / "people" / who / "password").read_text().strip()
    with httpx.Client(base_url=system.url(CONSOLE), trust_env=False) as browser:
        asked = dict(parse_qsl(urlsplit(browser.get("/login").headers["location"]).query))
        form = {**asked, "username": who, "password": password}
        answer = browser.post(f"{system.url('identity')}/authorize", data=form)
        browser.get(answer.headers["location"]).raise_for_status()
        return str(browser.cookies[COOKIE])


async def _barriers(page: Page) -> list[str]:
    """Return what axe-core finds that keeps somebody from using a page."""
    if not await page.evaluate("typeof window.axe === 'object'"):
        await page.evaluate(_axe())  # not by a script element, which the page's policy refuses
    result = await page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [
        f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for each in result["violations"]
        for node in each["nodes"]
    ]


@cache
def _axe() -> str:
    return Path(str(files("axe_playwright_python") / "axe.min.js")).read_text()
