"""Dead letters, consumers, jobs and acts on their pages: what is shown, what is done, and who may not."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
from playwright.async_api import Locator, Page, expect

from tests.console.browsing import Site
from tests.faults.foreign import headers_of, send
from tests.system import Shop
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"


@asynccontextmanager
async def parked(shop: Shop, behind: int = 1) -> AsyncIterator[tuple[str, int]]:
    """Have an event parked that lacks what its contract asks for, with others behind it; yields its key and number."""
    key = f"spoilt-{uuid4().hex[:12]}"
    shop.spoilt.add(key)
    try:
        for number in range(behind + 1):
            headers = headers_of(key, PLACED, b"%020d" % (number + 1), datetime.now(UTC).isoformat())
            await send(shop.journal.kafka, key, orjson.dumps(data_of(key)), headers)
        yield key, await letter_of(shop, key, behind + 1)
    finally:
        await eventually(lambda: discarded(shop, "payments", key), what=f"{key} is parked at payments as well")
        await discarded(shop, "inventory", key)


async def discarded(shop: Shop, service: str, key: str) -> bool:
    """Discard what a service has parked of a key, so that it is accounted for; tell whether there was any."""
    body = {"key": key, "reason": "The test is over."}
    answer = await shop.http.post(shop.url(service, "/dead-letters/discard"), json=body)
    assert answer.status_code in (200, 404), answer.text
    return bool(answer.status_code == 200)


def data_of(key: str) -> dict[str, Any]:
    """What is right in all but its lines."""
    return {
        "order": key,
        "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "total": {"amount": 1200, "currency": "GBP"},
        "lines": "many",
    }


async def letter_of(shop: Shop, key: str, count: int) -> int:
    """Return the number of the first letter of a key, once inventory has parked all of them."""

    async def found() -> list[Any] | None:
        letters = (await shop.get("inventory", "/dead-letters", key=key))["items"]
        return letters if len(letters) == count else None

    return int((await eventually(found, what=f"{count} letters of {key}"))[0]["id"])


async def test_what_is_parked_is_found_by_its_cause_and_read_as_one_page(site: Site, shop: Shop) -> None:
    page = await site.as_("rita")
    await page.goto("/dead-letters")
    await expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
    async with parked(shop, behind=2) as (key, number):
        row = page.locator("tbody tr", has_text="inventory").first
        await expect(row).to_contain_text("ContractBroken")
        await site.look(page, "dead-letters")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Dead letters of")
        await page.goto(f"/dead-letters/inventory?key={key}")
        await expect(page.locator("tbody tr")).to_have_count(3)
        await expect(page.locator("tbody")).not_to_contain_text(key)
        await page.get_by_role("link", name=str(number), exact=True).click()
        failing = page.locator(".payload .fails")
        await expect(failing).to_contain_text(['! "lines": "many"'])
        await expect(page.locator(".queue li")).to_have_count(3)
        await expect(page.get_by_role("heading", name="2 held behind it")).to_be_visible()
        await expect(page.get_by_role("button", name="Begin with a dry run")).to_have_count(0)
        await site.look(page, "letter")


async def test_a_letter_is_rehearsed_and_redriven_and_its_report_is_kept(site: Site, shop: Shop) -> None:
    page = await site.as_("alma")
    async with parked(shop, behind=0) as (_, number):
        await page.goto(f"/dead-letters/inventory/{number}")
        await page.get_by_role("button", name="Begin with a dry run").click()
        await expect(page.locator(".notice")).to_contain_text("So it would be: 1 failed. Nothing was changed.")
        await site.look(page, "dry-run")
        await page.get_by_label("At most so many a second").fill("many")
        site.expected += 1
        await page.get_by_role("button", name="Redrive letter").click()
        await expect(page.get_by_label("At most so many a second")).to_have_value("many")
        await page.get_by_label("At most so many a second").fill("50")
        await page.get_by_role("button", name="Redrive letter").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Redrive"))
        await expect(page.locator(".notice")).to_contain_text("1 failed")
        await site.look(page, "redrive")
        await page.goto("/redrives/inventory")
        await expect(page.locator("tbody tr")).not_to_have_count(0)
        told = await shop.get("inventory", f"/dead-letters/{number}")
        assert [(each["dry_run"], each["outcome"]) for each in told["redrives"]] == [
            (True, "failed"),
            (False, "failed"),
        ]


async def test_a_letter_is_given_up_with_a_reason_and_a_typed_scope_and_put_back(site: Site, shop: Shop) -> None:
    page = await site.as_("olga")
    async with parked(shop, behind=0) as (_, number):
        await page.goto(f"/dead-letters/inventory/{number}")
        await page.get_by_text("Give up", exact=True).click()
        await page.get_by_label("Why").fill("Nobody ordered this.")
        await page.get_by_label(f"Type {number} to give up").fill(str(number))
        await page.get_by_role("button", name="Discard").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Discarded letters of inventory")
        await expect(page.locator("tbody tr")).to_contain_text(["Nobody ordered this."])
        await site.look(page, "discarded")
        await page.get_by_role("button", name=f"Restore letter {number}").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Letter {number} of inventory")
        await expect(page.locator(".payload .fails")).to_have_count(1)


async def test_what_was_typed_is_not_lost_where_the_scope_is_another(site: Site, shop: Shop) -> None:
    page = await site.as_("olga")
    async with parked(shop, behind=0) as (_, number):
        await page.goto(f"/dead-letters/inventory/{number}")
        await page.get_by_text("Give up", exact=True).click()
        await page.get_by_label("Why").fill("It was late.")
        await page.locator("input[name=confirm-give-up]").fill("another")
        site.expected += 1
        await page.get_by_role("button", name="Discard").click()
        await expect(page.locator(".notice.wrong").first).to_contain_text("Nothing was discarded")
        await expect(page.get_by_label("Why")).to_have_value("It was late.")


async def test_a_letter_is_reproduced_as_a_test_and_edited_only_where_that_is_on(site: Site, shop: Shop) -> None:
    page = await site.as_("alma")
    async with parked(shop, behind=0) as (key, number):
        await page.goto(f"/dead-letters/inventory/{number}")
        async with page.expect_download() as began:
            await page.get_by_role("link", name="Reproduce as a test").click()
        download = await began.value
        assert download.suggested_filename == f"test_inventory_letter_{number}.py"
        text = (await download.path()).read_text()
        compile(text, download.suggested_filename, "exec")
        assert f"test_letter_{number}_of_inventory_is_handled" in text
        await page.get_by_role("link", name="Edit its data").click()
        assert json.loads(await page.get_by_label("Data, as JSON").input_value()) == data_of(key)
        await page.get_by_label("Data, as JSON").fill('{"order": ')
        await page.get_by_label("Why").fill("A comma too many.")
        site.expected += 2
        await page.get_by_role("button", name="Put it in its place").click()
        await expect(page.locator(".failing")).to_contain_text("is no JSON")
        await expect(page.get_by_label("Data, as JSON")).to_have_value('{"order": ')
        await site.look(page, "edit-letter")
        await page.get_by_label("Data, as JSON").fill("{}")
        await page.get_by_role("button", name="Put it in its place").click()
        await expect(page.locator(".failing")).to_contain_text("SLICELINE_EDIT_DEAD_LETTERS")


async def test_a_consumer_is_paused_and_goes_on_and_its_page_tells_so_by_itself(site: Site, shop: Shop) -> None:
    page, other = await site.as_("olga"), await site.as_("rita")
    await other.goto("/consumers")
    state = other.locator("tbody tr", has_text="reviews").first
    await expect(state).to_contain_text("level")
    await site.look(other, "consumers")
    await page.goto("/consumers/reviews")
    await page.get_by_text("Pause something").click()
    await page.get_by_label("Why").fill("To look at it.")
    await page.get_by_role("button", name="Pause", exact=True).click()
    try:
        await expect(page.locator("#pause tbody tr")).to_contain_text(["To look at it."])
        await expect(state).to_contain_text("paused")
        await expect(page.locator("#live .notice").first).to_contain_text("Somebody has paused the consumer.")
        await site.look(page, "consumer")
        await page.get_by_text("Pause something").click()
        await page.get_by_label("Why").fill("Twice.")
        site.expected += 1
        await page.get_by_role("button", name="Pause", exact=True).click()
        await expect(page.locator("#pause .notice.wrong")).to_contain_text("is paused since")
        await expect(page.get_by_label("Why")).to_have_value("Twice.")
    finally:
        await page.get_by_role("button", name="Resume the consumer").click()
    await expect(page.locator("#pause .empty")).to_contain_text("Nothing is paused")
    await expect(state).not_to_contain_text("paused")


async def given_up(shop: Shop, key: str) -> None:
    """Have a timer of orders' given up."""
    await shop.fetch(
        "orders",
        "INSERT INTO jobs (kind, key, data, due, parked_at, attempts, error, correlationid) "
        "VALUES ('of-a-test', $1, '{}', now(), now(), 3, 'It did not answer.', 'none')",
        key,
    )


async def test_jobs_that_were_given_up_are_shown_and_started_anew(site: Site, shop: Shop) -> None:
    page, key = await site.as_("olga"), f"job-{uuid4().hex[:8]}"
    await given_up(shop, key)
    try:
        await page.goto(f"/jobs?service=orders&key={key}")
        row = page.locator("tbody tr", has_text=key)
        await expect(row).to_contain_text("given up")
        await site.look(page, "jobs")
        await row.get_by_role("button", name=f"Run again: of-a-test {key}").click()
        await page.goto(f"/jobs?service=orders&key={key}")
        await expect(row).to_contain_text("waits")
        await expect(row.get_by_role("button", name=f"Run now: of-a-test {key}")).to_be_visible()
    finally:
        await shop.fetch("orders", "DELETE FROM jobs WHERE key = $1", key)


async def height_of(shown: Locator) -> float:
    """Return at which height of a page something stands: times that are told anew move it sideways a little."""
    place = await shown.bounding_box()
    assert place is not None
    return place["y"]


async def test_a_row_stays_where_it_is_when_the_one_above_it_is_done_until_the_page_is_loaded_anew(
    site: Site, shop: Shop
) -> None:
    page, (first, second, third) = await site.as_("olga"), [f"job-{uuid4().hex[:8]}" for _ in range(3)]
    rows = page.locator("#jobs tr")
    try:
        for key in (first, second):
            await given_up(shop, key)
        await page.goto("/jobs?service=orders&kind=of-a-test")
        button = page.get_by_role("button", name=f"Run again: of-a-test {second}")
        height = await height_of(button)
        await shop.fetch("orders", "DELETE FROM jobs WHERE key = $1", first)
        await given_up(shop, third)
        await expect(rows).to_contain_text(["gone", "given up"])
        await expect(page.locator(".fresh")).to_contain_text("1 new since this was shown.")
        assert await height_of(button) == height
        await expect(page.get_by_role("button", name=f"Run again: of-a-test {first}")).to_be_disabled()
        await site.look(page, "jobs-held")
        await page.get_by_role("link", name="Show it as it is now").click()
        await expect(rows).to_contain_text([second, third])
    finally:
        await shop.fetch("orders", "DELETE FROM jobs WHERE kind = 'of-a-test'")


async def test_acts_are_found_by_who_and_what_and_the_chain_is_verified(site: Site, shop: Shop) -> None:
    page = await site.as_("olga")
    await page.goto("/audit")
    began = page.locator("#news")
    await shop.http.post(shop.url("reminders", "/reread"), json={"topic": "no.such"})
    await expect(began).to_contain_text("new: show them")
    await page.get_by_label("What", exact=True).fill("POST /reread")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("tbody tr").first).to_contain_text("POST /reread")
    await site.look(page, "audit")
    await page.get_by_label("Since (UTC)").fill("yesterday")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#since-told")).to_contain_text("is no time")
    await page.goto("/audit?service=reminders")
    await page.get_by_role("button", name="Verify the chain").click()
    await expect(page.locator("tbody tr")).to_contain_text(["whole"])
    await site.look(page, "audit-verified")


async def offered(page: Page, path: str) -> list[str]:
    await page.goto(path)
    return [await each.inner_text() for each in await page.locator("main form[method=post] button").all()]


async def test_who_may_only_read_is_offered_nothing_to_do_and_a_customer_sees_no_page_of_this(
    site: Site, shop: Shop
) -> None:
    reader, customer = await site.as_("rita"), await site.as_("ada")
    async with parked(shop, behind=0) as (key, number):
        for path in (f"/dead-letters/inventory/{number}", f"/dead-letters/inventory?key={key}", "/consumers/reviews"):
            assert await offered(reader, path) == []
    site.expected += 4
    for path in ("/dead-letters", "/consumers", "/jobs", "/audit"):
        answer = await customer.goto(path)
        assert answer is not None
        assert answer.status == 403
    await expect(customer.get_by_role("link", name="Audit")).to_have_count(0)
