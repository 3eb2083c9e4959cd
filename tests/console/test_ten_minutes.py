"""Whoever comes for the first time breaks a listener of his own and mends it, as docs/console.md says."""

import asyncio
import re
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from local import ROOT, ports
from local.layout import FIXED
from services import CATALOGUE
from tests.copies import clone_of_the_project, say

SECTION = (ROOT / "docs" / "console.md").read_text().split("## Ten minutes\n")[1].split("\n## ")[0]
COMMANDS = re.findall(r"^    \./sliceline (.+)$", SECTION, re.MULTILINE)
PATCHES = re.findall(r"^```diff\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
[ANSWER] = re.findall(r"localhost:(\d+)(/\S+)", SECTION)
TEN_MINUTES = 600.0


class Newcomer:
    """Somebody with a copy of the project, a browser, and the page of the documentation."""

    def __init__(self, tree: Path, chromium: Browser, offset: int) -> None:
        self.tree = tree
        self.offset = offset
        self._chromium = chromium
        self._commands = iter(COMMANDS)
        self._patches = iter(PATCHES)

    async def say(self, expected: str) -> str:
        """Give the next command of the page, which begins so; where the usual ports are taken, on others."""
        command = next(self._commands)
        assert command.startswith(expected), command
        moved = [f"--port-offset={self.offset}"] if expected.startswith("up") else []
        return await say(self.tree, *command.split(), *moved)

    def apply(self) -> None:
        """Write what the page has next."""
        subprocess.run(["git", "apply", "-"], cwd=self.tree, input=next(self._patches), text=True, check=True)

    async def browse(self, who: str) -> Page:
        """Open the address that the next command prints."""
        address = (await self.say(f"browse --as {who}")).strip()
        page = await (await self._chromium.new_context()).new_page()
        page.set_default_timeout(20_000)
        await page.goto(address)
        await expect(page.locator(".who .name")).to_be_visible()
        return page

    async def slices(self) -> list[dict[str, object]]:
        """Ask the listener, as the page does."""
        port, path = ANSWER
        token = (await say(self.tree, "token", "--as", "reader")).strip()
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {token}"}) as client:
            answer = await client.get(f"http://127.0.0.1:{int(port) + self.offset}{path}")
        return list(answer.raise_for_status().json()["items"])


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(tmp_path: Path, chromium: Browser) -> AsyncIterator[Newcomer]:
    tree = clone_of_the_project(tmp_path / "sliceline")
    yield Newcomer(tree, chromium, _free_offset())
    await say(tree, "down")


def _free_offset() -> int:
    """Return by how much ports are moved to where nobody listens."""
    usual = {*FIXED.values(), *CATALOGUE.values(), int(ANSWER[0])}
    while True:
        offset = 20_000 + secrets.randbelow(20_000)
        if not ports.taken([port + offset for port in usual]):
            return offset


@pytest.mark.long
async def test_a_listener_of_ones_own_is_broken_its_event_found_mended_and_redriven_in_ten_minutes(
    newcomer: Newcomer,
) -> None:
    async with asyncio.timeout(TEN_MINUTES):
        made = await newcomer.say("new service slices")
        assert f" localhost:{''.join(ANSWER)}\n" in made
        newcomer.apply()
        await newcomer.say("up")
        await order(await newcomer.browse("ada"))
        operator = await newcomer.browse("operator")
        letter = await found(operator)
        assert await newcomer.slices() == []
        newcomer.apply()
        await newcomer.say("restart slices")
        await redriven(operator, letter)
        assert await newcomer.slices() == [{"name": "margherita", "total": 16}]


async def order(page: Page) -> None:
    """Order two Margheritas and a cola, as somebody does who was never here before."""
    await page.locator("#sections").get_by_role("link", name="Menu").click()
    await page.get_by_label("How many of Margherita").fill("2")
    await page.get_by_role("button", name="Put Margherita into the cart").click()
    await page.get_by_label("Mail address").fill("ada@example.com")
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("button", name="Put Cola into the cart").click()
    await page.get_by_role("link", name="To the cart").click()
    await page.get_by_label("I collect it").check()
    till = page.get_by_role("button", name="Order for 27.00 GBP")
    await till.click()
    await expect(till).to_have_count(0)


async def found(page: Page) -> str:
    """Find what is parked, by itself; return the address of its page."""
    await page.locator("#sections").get_by_role("link", name="Dead letters").click()
    row = page.locator("tbody tr", has_text="slices")
    await expect(row).to_contain_text("KeyError")
    await expect(row).to_contain_text("'cola'")
    await row.get_by_role("link").click()
    await page.get_by_role("link", name="1", exact=True).click()
    await expect(page.locator("main")).to_contain_text("line.quantity * SLICES[line.item]")
    await expect(page.get_by_role("heading", name="On its key, in order")).to_have_count(0)
    return page.url


async def redriven(page: Page, letter: str) -> None:
    """Try the letter, see what would change, and do it."""
    await page.goto(letter)
    await page.get_by_role("button", name="Begin with a dry run").click()
    changes = page.get_by_role("table", name="Rows that would change, by table").locator("tbody tr")
    await expect(changes).to_have_text([re.compile(r"^inbox\s*1\s*0\s*0$"), re.compile(r"^totals\s*1\s*0\s*0$")])
    await page.get_by_role("button", name="Redrive letter 1").click()
    await expect(page.locator(".notice")).to_contain_text("1 applied")
    await page.goto(letter)
    await expect(page.locator(".notice")).to_contain_text("is not parked")
