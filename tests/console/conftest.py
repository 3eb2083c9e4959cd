"""Fixtures of tests in a browser: one shop with its console, and one Chromium, for all of them."""

import inspect
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.console.browsing import Site
from tests.journal import Journal
from tests.processes import BESIDE, System
from tests.system import Shop
from tests.waiting import DEADLINE

HERE = Path(__file__).parent
PROGRAM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have all of them run in one event loop, which the browser lives in."""
    for item in items:
        if item.path.is_relative_to(HERE) and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(system: System, journal: Journal, spoilt: set[str]) -> AsyncIterator[Shop]:
    """The whole system, with all services and the console."""
    await system.have_beside(BESIDE)
    await system.console()
    timeout = httpx.Timeout(60, pool=None)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, auth=system.visitor()) as client:
        shop = Shop(system, client, journal, spoilt)
        yield shop
        await shop.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A real browser."""
    if PROGRAM is None and "SLICELINE_TEST_WHOLE" not in os.environ:
        pytest.skip("there is no chromium here")
    expect.set_options(timeout=DEADLINE * 1000)  # a machine that does much else is slow, and no page is wrong for that
    async with async_playwright() as playwright:
        # Chromium's sandbox has no place for root, as whom containers of CI run; what is shown is ours alone.
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(shop: Shop, chromium: Browser) -> AsyncIterator[Site]:
    """The console, for whoever is named; a test fails whose page complains, or asks anybody else."""
    site = Site(shop.system, chromium)
    yield site
    await site.close()
    site.check()
