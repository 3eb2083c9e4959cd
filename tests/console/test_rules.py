"""Rules and webhooks in a browser: made, tried, changed and taken away, with what would be lost said before."""

from uuid import uuid4

from playwright.async_api import expect

from tests.console.browsing import Site
from tests.system import Document, Shop
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"


async def archived(shop: Shop, order: str) -> list[Document]:
    """The order's event once it is kept."""
    found = await shop.get("ledger", "/events", key=order, type=PLACED)
    return list(found["items"])


def named(what: str) -> str:
    return f"{what}-{uuid4().hex[:8]}"


async def test_a_pattern_is_tried_on_the_archive_and_made_a_rule_that_is_changed_and_deleted(
    site: Site, shop: Shop
) -> None:
    order = await shop.place({"margherita": 1})
    page, name = await site.as_("olga"), named("large orders")
    await page.goto("/rules/try")
    pattern = f'{{"source": ["/sliceline/orders"], "type": ["{PLACED}"], "data": {{"order": ["{order}"]}}}}'
    await page.get_by_label("Pattern", exact=True).fill(pattern)
    await page.get_by_role("button", name="Try it on the archive").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await site.look(page, "rule-tried")
    await page.get_by_role("button", name="Make a rule of it").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Targets", exact=True).fill('[{"nobody": 1}]')
    await site.look(page, "rule-new")
    site.expected += 1
    await page.get_by_role("button", name="Make it").click()
    await expect(page.locator(".notice.wrong")).to_be_visible()
    await expect(page.get_by_label("Name", exact=True)).to_have_value(name)
    await page.get_by_label("Targets", exact=True).fill('[{"webhook": "accounting"}]')
    await page.get_by_role("button", name="Make it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)
    await site.look(page, "rule")
    await page.get_by_role("button", name="Have it rest").click()
    await expect(page.get_by_text("rests").first).to_be_visible()
    await page.goto("/rules")
    await expect(page.locator("tr", has_text=name)).to_contain_text("rests")
    await site.look(page, "rules")
    await page.locator("tr", has_text=name).get_by_role("link").click()
    await page.get_by_text("Delete it", exact=True).click()
    field = page.get_by_label(f"Type {name} to delete it")
    await field.fill("something else")
    site.expected += 1
    await page.get_by_role("button", name="Delete the rule").click()
    await expect(page.locator(".notice.wrong")).to_contain_text("Nothing was deleted")
    await page.get_by_text("Delete it", exact=True).click()
    await field.fill(name)
    await page.get_by_role("button", name="Delete the rule").click()
    await expect(page).to_have_url(f"{site.url}/rules")
    await expect(page.locator("tr", has_text=name)).to_have_count(0)


async def test_an_event_that_does_not_match_says_why(site: Site, shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    [event] = await eventually(lambda: archived(shop, order), what=f"the ledger has {order}")
    page = await site.as_("olga")
    await page.goto("/rules/try")
    await page.get_by_label("Pattern", exact=True).fill(
        '{"data": {"total": {"amount": [{"numeric": [">=", 10000000]}]}}}'
    )
    await page.get_by_label("Why not this event?").fill(event["id"])
    await page.get_by_role("button", name="Try it on the archive").click()
    await expect(page.locator(".notice").first).to_contain_text("data.total.amount has to be a number >= 10000000")


async def test_an_endpoint_is_made_shows_its_secret_once_and_is_deleted_by_its_name(site: Site) -> None:
    page, name = await site.as_("olga"), named("accounting")
    await page.goto("/webhooks/new")
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Address").fill("http://127.0.0.1/hook")
    site.expected += 1
    await page.get_by_role("button", name="Make it").click()
    await expect(page.locator(".field.wrong")).to_be_visible()
    await page.get_by_label("Address").fill("https://hooks.example.com/sliceline")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.locator("code", has_text="whsec_")).to_be_visible()
    await page.get_by_role("link", name="To the endpoint").click()
    await expect(page.locator("#standing")).to_contain_text("unproven")
    await expect(page.get_by_text("whsec_")).to_have_count(0)
    await site.look(page, "webhook")
    await page.locator("summary", has_text="Make a new secret").click()
    await page.get_by_label(f"Type {name} to make a new secret").fill(name)
    await page.get_by_role("button", name="Make a new secret").click()
    await expect(page.locator("code", has_text="whsec_")).to_be_visible()
    await page.goto(f"/webhooks/{name}")
    await page.get_by_role("button", name="Disable it").click()
    await expect(page.locator("#standing")).to_contain_text("disabled")
    await page.goto("/webhooks")
    await expect(page.locator("tr", has_text=name)).to_contain_text("disabled")
    await site.look(page, "webhooks")
    await page.goto(f"/webhooks/{name}")
    await page.get_by_text("Delete it", exact=True).click()
    await page.get_by_label(f"Type {name} to delete it").fill(name)
    await page.get_by_role("button", name="Delete the endpoint").click()
    await expect(page).to_have_url(f"{site.url}/webhooks")
    await expect(page.locator("tr", has_text=name)).to_have_count(0)


async def test_a_delivery_that_was_given_up_is_shown_with_its_attempts_and_sent_again(site: Site, shop: Shop) -> None:
    name = named("warehouse")
    body = {"name": name, "url": "https://hooks.example.com/x", "pattern": {"type": [PLACED]}}
    (await shop.http.post(shop.url("webhooks", "/endpoints"), json=body)).raise_for_status()
    # Nobody out there would answer the ping, so it counts as proven by hand; what comes is then owed to it.
    await shop.fetch("webhooks", "UPDATE endpoints SET status = 'active', proven = true WHERE id = $1", name)
    order = await shop.place({"margherita": 1})
    page = await site.as_("olga")
    await page.goto(f"/webhooks/{name}")
    row = page.locator("tr", has_text=order[-12:])
    await expect(row).to_contain_text("waiting")
    parked = "UPDATE deliveries SET status = 'parked' WHERE endpoint_id = $1 AND key = $2"
    await shop.fetch("webhooks", parked, name, order)
    await expect(row).to_contain_text("parked")
    await site.look(page, "webhook-parked")
    await row.get_by_role("link").click()
    await site.look(page, "delivery")
    await page.get_by_role("button", name="Send it again").click()
    await expect(page.locator(".numbers")).to_contain_text("waiting")
    (await shop.http.delete(shop.url("webhooks", f"/endpoints/{name}"))).raise_for_status()


async def test_whoever_reads_may_change_nothing_and_a_customer_sees_none_of_it(site: Site, shop: Shop) -> None:
    body = {"name": named("seen"), "url": "https://hooks.example.com/x"}
    (await shop.http.post(shop.url("webhooks", "/endpoints"), json=body)).raise_for_status()
    page = await site.as_("rita")
    for path, act in (("/rules", "Make a rule"), (f"/webhooks/{body['name']}", "Disable it")):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_text(act)).to_have_count(0)
    refused = await page.request.post("/rules/new", form={"name": "x"}, headers={"Origin": site.url})
    assert refused.status == 403
    customer = await site.as_("ada")
    for path in ("/rules", "/rules/try", "/webhooks", f"/webhooks/{body['name']}"):
        site.expected += 1
        answer = await customer.goto(path)
        assert answer is not None
        assert answer.status == 403, path
    (await shop.http.delete(shop.url("webhooks", f"/endpoints/{body['name']}"))).raise_for_status()
