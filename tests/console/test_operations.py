"""Whether anything is lost, lists of orders, the journey of one and how it stood, and where ids lead."""

import re
from uuid import uuid4

import pytest
from playwright.async_api import expect

from tests.console.browsing import Site
from tests.system import Shop
from tests.waiting import eventually

DRINKS = {"cola": 1}


@pytest.fixture
def customer() -> str:
    """Somebody of whom no other test has orders."""
    return f"customer-{uuid4().hex[:12]}"


async def archived(shop: Shop, order: str, *names: str) -> None:
    """Return when the archive has such events of an order."""

    async def found() -> bool:
        events = (await shop.get("ledger", "/events", key=order, limit=200))["items"]
        return {f"sliceline.orders.order-{name}.v1" for name in names} <= {each["type"] for each in events}

    await eventually(found, 30, what=f"{names} of {order} in the archive")


async def test_operators_come_to_whether_anything_is_lost_and_what_needs_them_is_told_at_once(
    site: Site, shop: Shop, customer: str
) -> None:
    page = await site.as_("olga")
    await page.goto("/")
    await expect(page.get_by_role("heading", name="Is anything lost?")).to_be_visible()
    needs = page.locator("#live")
    reason = f"looked at by {customer}"
    paused = await shop.http.post(
        shop.url("kitchen", "/pauses"), json={"what": "key", "name": customer, "reason": reason}
    )
    assert paused.status_code == 201, paused.text
    await expect(needs).to_contain_text(reason)
    await expect(page.locator(".notice.large")).to_contain_text("paused")
    await site.look(page, "operations")
    ended = await shop.http.delete(shop.url("kitchen", f"/pauses/{paused.json()['id']}"))
    assert ended.status_code == 200, ended.text
    await expect(needs).not_to_contain_text(reason)
    await expect(page.get_by_role("region", name="What became of events at each consumer")).to_contain_text("kitchen")
    await expect(page.get_by_role("region", name="What has changed")).to_contain_text("/pauses")


async def test_what_becomes_of_orders_is_drawn_and_goes_on_under_the_eyes_of_who_looks(site: Site, shop: Shop) -> None:
    await shop.place(DRINKS)
    page = await site.as_("olga")
    await page.goto("/operations")
    chart = page.get_by_role("img", name=re.compile(r"[1-9]\d* orders? (was|were) placed"))
    canvas = chart.locator("canvas")
    await expect(canvas).to_be_visible()
    await canvas.evaluate("canvas => { canvas.dataset.first = 'yes' }")
    said = await page.locator("#throughput-said").inner_text()
    await shop.place(DRINKS)
    await expect(page.locator("#throughput-said")).not_to_have_text(said)
    await expect(canvas).to_have_attribute("data-first", "yes")
    await page.get_by_text("The same as a table").click()
    figures = page.get_by_role("region", name="Orders in the last quarter of an hour")
    await expect(figures.locator("tbody tr").first).to_be_visible()
    await page.locator("#throughput .u-over").hover()
    await expect(page.locator("#throughput .tip")).to_contain_text("placed")
    await site.look(page, "throughput")


async def test_orders_are_listed_by_the_address_walked_by_keys_and_new_ones_are_told_in_a_bar(
    site: Site, shop: Shop, customer: str
) -> None:
    first, second = [await shop.place(DRINKS, customer=customer) for _ in range(2)]
    page = await site.as_("olga")
    await page.goto(f"/orders?customer={customer}&status=")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(page.locator(".more")).to_have_text("All 2.")
    third = await shop.place(DRINKS, customer=customer)
    bar = page.get_by_role("link", name="1 new. Show them")
    await expect(bar).to_be_visible()
    await expect(rows).to_have_count(2)
    await site.look(page, "orders")
    await bar.click()
    await expect(rows).to_have_count(3)
    assert f"customer={customer}" in page.url
    for key in "jjk":
        await page.keyboard.press(key)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/orders/{third}")
    await page.go_back()
    await expect(rows).to_have_count(3)
    await page.get_by_label("Status").select_option("rejected")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator(".empty")).to_contain_text("No order is so.")
    assert {first, second} <= {each["id"] for each in (await shop.get("orders", "/orders", customer=customer))["items"]}


async def test_a_filter_that_cannot_be_read_is_refused_at_its_field(site: Site) -> None:
    site.expected = 1
    page = await site.as_("rita")
    await page.goto("/orders?since=yesterday&customer=ada")
    await expect(page.get_by_role("alert")).to_contain_text("must be a timestamp")
    await expect(page.get_by_label("Customer's id")).to_have_value("ada")


async def test_a_journey_goes_on_under_the_eyes_of_who_looks_and_what_is_opened_stays_open(
    site: Site, shop: Shop
) -> None:
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    await archived(shop, order, "placed", "confirmed")
    page = await site.as_("olga")
    await page.goto(f"/orders/{order}?why=order-completed")
    await expect(page.locator("#asked")).to_contain_text("kitchen.pizza-prepared comes when somebody asks for it")
    placed = page.locator(".step").first
    await placed.locator("summary").click()
    await expect(placed.locator("pre")).to_contain_text('"fulfilment": "delivery"')
    await shop.complete(order)
    await expect(page.locator(".notice.large")).to_contain_text("completed")
    await expect(page.locator(".steps")).to_contain_text("The order is complete")
    await expect(placed.locator("details")).to_have_attribute("open", "")
    await expect(page.locator("#asked")).to_contain_text("kitchen.pizza-prepared comes when somebody asks for it")
    assert await page.locator("svg.lanes circle").count() == await page.locator(".step").count()
    await page.locator("#causes summary").click()
    await expect(page.locator(".tree .d1").first).to_be_visible()
    await site.look(page, "journey")


async def test_a_slider_shows_how_every_service_had_the_order_at_a_moment_that_the_address_keeps(
    site: Site, shop: Shop
) -> None:
    customer = "customer-of-the-slider"
    order = await shop.place({"margherita": 1}, customer=customer)
    await shop.complete(order)
    await archived(shop, order, "placed", "completed")
    page = await site.as_("rita")
    await page.goto(f"/orders/{order}")
    await expect(page.locator(".notice.large")).to_contain_text("1 margherita for")
    await expect(page.locator(".notice.large")).not_to_contain_text("Ada")
    slider = page.get_by_label("After which event?")
    await slider.focus()
    await page.keyboard.press("Home")
    orders = page.locator("#states section").filter(has=page.get_by_role("heading", name="orders"))
    await expect(orders).to_contain_text("placed")
    await expect(page.locator("#moment-said")).to_contain_text("orders.order-placed")
    assert "at=20" in page.url
    await page.reload()
    await expect(orders).to_contain_text("placed")
    await expect(page.locator("#states")).to_contain_text("It knew nothing of it.")
    await expect(page.locator("main")).not_to_contain_text(customer)
    await site.look(page, "instant")
    await slider.focus()
    await page.keyboard.press("End")
    await expect(orders).to_contain_text("completed")
    assert "at=" not in page.url


async def test_an_order_is_cancelled_by_who_may_with_the_word_typed_and_readers_are_refused(
    site: Site, shop: Shop
) -> None:
    site.expected = 3
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    reader = await site.as_("rita")
    await reader.goto(f"/orders/{order}")
    await expect(reader.locator("h1")).to_be_visible()
    await expect(reader.get_by_role("link", name="Cancel this order")).to_have_count(0)
    assert (await reader.goto(f"/orders/{order}/cancel")).status == 403  # type: ignore[union-attr]
    page = await site.as_("olga")
    await page.goto(f"/orders/{order}/refund")
    await page.get_by_label("How much, in GBP").fill("5000")
    await page.get_by_label("Why").fill("It came cold.")
    await page.get_by_label("Type refund to give it back").fill("refund")
    await page.get_by_role("button", name="Refund").click()
    await expect(page.get_by_role("alert")).to_contain_text("is left of what was paid")
    await expect(page.get_by_label("Why")).to_have_value("It came cold.")
    await page.goto(f"/orders/{order}")
    await page.get_by_role("link", name="Cancel this order").click()
    await site.look(page, "cancel")
    await page.get_by_label("Type cancel to cancel it").fill("cancel")
    await page.get_by_role("button", name="Cancel").click()
    await page.wait_for_url(f"**/orders/{order}")
    await expect(page.locator(".notice.large")).to_contain_text("cancelled")


async def test_an_id_leads_to_its_page_from_anywhere_and_an_event_is_shown_whole(site: Site, shop: Shop) -> None:
    site.expected = 1
    order = await shop.place(DRINKS)
    await shop.wait_for_status(order, "confirmed")
    await archived(shop, order, "placed", "confirmed")
    [placed, *_] = (await shop.get("ledger", "/events", key=order))["items"]
    page = await site.as_("olga")
    await page.goto("/orders")
    await page.keyboard.press("/")
    await page.keyboard.type(order)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/orders/{order}")
    await page.goto(f"/search?q={placed['correlationid']}")
    assert page.url.endswith(f"/orders/{order}")
    await page.goto(f"/search?q={placed['id']}")
    assert page.url.endswith(f"/events/{placed['id']}")
    await expect(page.get_by_role("region", name="Who reads it")).to_contain_text("inventory")
    await expect(page.get_by_role("region", name="The headers of the record")).to_contain_text("ce_id")
    await site.look(page, "event")
    await page.goto("/search?q=nothing-at-all")
    await expect(page.locator("main")).to_contain_text("Nothing is known by nothing-at-all.")
    await expect(page.locator("main")).to_contain_text("A correlation id")
    await site.look(page, "search")


async def test_customers_see_nothing_of_operations(site: Site) -> None:
    site.expected = 5
    page = await site.as_("ada")
    for path in ("/operations", "/orders", "/orders/7", "/events/7", "/search"):
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 403, path
