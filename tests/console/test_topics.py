"""What goes through the shop, in a browser: topics, events as they come, the map, and contracts."""

import json
import re
from urllib.parse import urlencode

from playwright.async_api import expect

from tests.console.browsing import Site
from tests.system import Shop

PLACED = "sliceline.orders.order-placed.v1"


async def test_topics_show_who_reads_them_and_their_events_as_they_come(site: Site, shop: Shop) -> None:
    page = await site.as_("rita")
    await page.goto("/topics")
    await expect(page.locator("#connection")).to_have_text("live")
    await site.look(page, "topics")
    row = page.locator("tr", has=page.get_by_role("link", name="orders.events"))
    await expect(row).to_contain_text("services")
    await page.keyboard.press("j")
    await expect(page.locator("tr.here")).to_have_count(1)
    await row.get_by_role("link").click()
    await expect(page.locator("#standing")).to_contain_text("inventory")
    order = await shop.place({"margherita": 1})
    event = page.locator("tr", has_text=order[-12:]).filter(has_text="order-placed.v1").first
    await expect(event).to_be_visible()
    await expect(event).to_contain_text("(sealed)")
    await site.look(page, "topic")


async def test_whoever_reads_older_events_is_told_of_new_ones_and_nothing_moves(site: Site, shop: Shop) -> None:
    first = await shop.place({"margherita": 1})
    page = await site.as_("olga")
    await page.goto(f"/events?{urlencode({'type': PLACED})}")
    await expect(page.locator("tbody tr", has_text=first[-12:])).to_be_visible()
    await page.get_by_role("link", name="Hold still to read").click()
    await expect(page.locator(".fresh")).to_contain_text("Nothing new since")
    held = await page.locator("tbody tr").first.get_attribute("id")
    second = await shop.place({"margherita": 1})
    await expect(page.locator(".fresh")).to_contain_text("1 new")
    assert await page.locator("tbody tr").first.get_attribute("id") == held
    await site.look(page, "events-held")
    await page.locator(".fresh").get_by_role("link").click()
    await expect(page.locator("tbody tr").first).to_contain_text(second[-12:])
    await page.go_back()
    await expect(page.locator(".fresh")).to_be_visible()


async def test_events_are_found_by_pattern_text_and_time_and_a_bad_pattern_is_said(site: Site, shop: Shop) -> None:
    order = await shop.place({"margherita": 2})
    page = await site.as_("olga")
    pattern = json.dumps({"type": [PLACED], "data": {"order": [order]}})
    await page.goto(f"/events?{urlencode({'pattern': pattern})}")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_contain_text("order-placed")
    await page.goto(f"/events?{urlencode({'text': order, 'key': order, 'type': PLACED})}")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.goto("/events?at=2020-01-01T00:00:00")
    await expect(page.locator(".empty")).to_contain_text("No event fits")
    await expect(page.locator(".fresh")).to_contain_text("To the newest")
    site.expected += 1
    bad = urlencode({"pattern": '{"data": 3}'})
    await page.goto(f"/events?{bad}")
    await expect(page.locator(".field.wrong")).to_contain_text("data")
    await site.look(page, "events-refused")


async def test_whoever_only_reads_sees_other_text_for_what_is_personal(site: Site, shop: Shop) -> None:
    customer = "customer-of-the-tail"
    order = await shop.place({"margherita": 1}, customer=customer)
    asked = urlencode({"key": order, "type": PLACED})
    for who, is_plain in (("olga", True), ("rita", False)):
        page = await site.as_(who)
        await page.goto(f"/events?{asked}")
        cell = page.locator("tbody tr td.data").first
        await expect(cell).to_contain_text("customer")
        assert (customer in await cell.inner_text()) is is_plain
        await expect(page.get_by_text("other text of the same shape")).to_have_count(0 if is_plain else 1)


async def test_the_map_leads_to_topics_readers_and_contracts_and_is_a_list_on_a_phone(site: Site, shop: Shop) -> None:
    await shop.place({"margherita": 1})
    page = await site.as_("rita")
    await page.goto("/map")
    chart = page.locator("svg.chart").first
    await expect(chart.locator("g[id='box-orders.events']")).to_be_visible()
    await expect(chart.locator("path.way").first).to_be_attached()
    await expect(chart.locator("path.way.busy").first).to_be_attached()  # its order has gone through, live
    await site.look(page, "map")
    link = chart.locator("g#box-payments a", has_text="orders").first
    await link.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("service=orders&reader=payments"))
    await expect(page.get_by_role("link", name="orders.order-placed.v1")).to_be_visible()
    phone = await site.as_("rita", width=360)
    await phone.goto("/map")
    await expect(phone.locator("svg.chart").first).to_be_hidden()
    listed = phone.locator(".narrow-only section", has=phone.get_by_role("link", name="orders.events"))
    await expect(listed.get_by_role("link", name="payments")).to_be_visible()


async def test_a_contract_shows_versions_readers_and_who_reads_a_field(site: Site, shop: Shop) -> None:
    await shop.place({"margherita": 1})
    page = await site.as_("rita")
    await page.goto("/contracts?q=order-confirmed")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator("tbody tr").first).to_contain_text("until 20")
    await site.look(page, "contracts")
    await page.goto(f"/contracts/{PLACED}")
    await page.get_by_label("Field", exact=True).fill("total.amount")
    await page.get_by_role("button", name="Who reads it?").click()
    await expect(page.locator(".notice")).to_contain_text("payments")
    await site.look(page, "contract")


async def test_a_sample_is_held_against_its_contract_and_what_was_typed_stays(site: Site) -> None:
    page = await site.as_("rita")
    await page.goto(f"/contracts/{PLACED}")
    await page.get_by_role("button", name="Check it").click()
    await expect(page.locator(".notice.well")).to_contain_text("It fits")
    await page.get_by_label("Data", exact=True).fill('{"order": 5}')
    site.expected += 2
    await page.get_by_role("button", name="Check it").click()
    await expect(page.locator(".notice.wrong")).to_contain_text("order")
    await expect(page.get_by_label("Data", exact=True)).to_have_value('{"order": 5}')
    await page.get_by_label("Data", exact=True).fill("{")
    await page.get_by_role("button", name="Check it").click()
    await expect(page.locator(".notice.wrong")).to_contain_text("no JSON")


async def test_a_sample_is_published_by_an_administrator_who_types_its_type(site: Site) -> None:
    earned = "sliceline.loyalty.points-earned.v1"
    page = await site.as_("alma")
    await page.goto(f"/contracts/{earned}")
    await page.get_by_text("Publish it", exact=True).first.click()
    key = await page.get_by_role("textbox", name="Key", exact=True).input_value()
    site.expected += 1
    await page.get_by_role("button", name="Publish it").click()
    await expect(page.locator(".notice.wrong")).to_contain_text("Nothing was sent")
    await page.get_by_text("Publish it", exact=True).first.click()
    await page.get_by_role("textbox", name="Key", exact=True).fill(key)
    await page.get_by_label(f"Type {earned}").fill(earned)
    await page.get_by_role("button", name="Publish it").click()
    await page.get_by_role("link", name="See it").click()
    await expect(page.locator("tbody")).to_contain_text(key[-12:])
    operator = await site.as_("olga")
    await operator.goto(f"/contracts/{earned}")
    await expect(operator.get_by_text("Publish it", exact=True)).to_have_count(0)


async def test_a_customer_sees_none_of_it(site: Site) -> None:
    page = await site.as_("ada")
    for path in ("/topics", "/topics/orders.events", "/events", "/map", "/contracts", f"/contracts/{PLACED}"):
        site.expected += 1
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 403, path
    await expect(page.get_by_role("navigation").get_by_role("link", name="Topics")).to_have_count(0)
