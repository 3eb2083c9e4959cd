"""Rows that are held, in a real browser: where they stand whatever a service tells next, or does not tell."""

from collections.abc import AsyncIterator, Iterable

import htpy as h
import pytest_asyncio
from playwright.async_api import Browser, Page

from services.console import assets
from services.console.elements import as_held, button, mark, row, table
from tests.console.browsing import NARROW

CONSOLE = assets.FOLDER / "console.js"
SWAP = """sent => {
  const fragment = document.createRange().createContextualFragment(sent);
  document.dispatchEvent(new CustomEvent("htmx:before:swap", { detail: { tasks: [{ fragment }] } }));
  document.getElementById("live").replaceChildren(fragment);
  return [...document.querySelectorAll("#jobs tr")].map((each) => each.innerText.replace(/\\s+/g, " ").trim());
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page that has nothing but what pages do by themselves."""
    page = await chromium.new_page()
    await page.set_content('<main id="live"></main>')
    await page.add_script_tag(content=CONSOLE.read_text(), type="module")
    yield page
    await page.close()


async def shown(page: Page, *jobs: str, silent: Iterable[str] = ()) -> list[str]:
    """Send the table anew with these jobs of orders, as a live page does; return the rows that are shown then."""
    rows = [row(each, mark("waits"), button("/", "Run"), name=f"job-orders-{each}", of="orders") for each in jobs]
    sent = h.div[as_held("/jobs", silent), table(("job", "state", ""), rows, "None.", "Jobs", held="jobs")]
    found: list[str] = await page.evaluate(SWAP, str(sent))
    return found


async def test_a_table_whose_rows_are_all_gone_stays_and_what_comes_then_is_counted(page: Page) -> None:
    odd = """it's "a" <b> #.: é"""
    assert await shown(page) == []
    assert await shown(page, odd) == [f"{odd} … waits Run"]
    assert await shown(page) == [f"{odd} – gone Run"]
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert await page.get_by_role("button").is_disabled()
    assert await shown(page, "7") == [f"{odd} – gone Run"]
    assert "1 new since this was shown." in await page.inner_text(".fresh")
    assert await shown(page, "7", odd) == [f"{odd} … waits Run"]


async def test_the_bar_that_counts_what_is_new_moves_no_row_on_a_phone(page: Page) -> None:
    await page.add_style_tag(content=(assets.FOLDER / "console.css").read_text())
    for width in (NARROW, 640):
        await page.set_viewport_size({"width": width, "height": 800})
        await shown(page, "1")
        before = await page.locator("tbody").bounding_box()
        await shown(page, "1", *map(str, range(2, 15)))
        assert "13 new" in await page.inner_text(".fresh")
        assert await page.locator("tbody").bounding_box() == before


async def test_what_a_service_does_not_tell_of_now_is_not_said_to_be_gone(page: Page) -> None:
    await shown(page, "1", "2")
    assert await shown(page, "2") == ["1 – gone Run", "2 … waits Run"]
    assert await shown(page, silent=["loyalty", "orders"]) == ["1 – gone Run", "2 – not known Run"]
    assert await page.locator("tr.gone").count() == 1
    assert await shown(page, "2") == ["1 – gone Run", "2 … waits Run"]
