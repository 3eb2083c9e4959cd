"""What customers do on the console's pages: look, order, follow, cancel, and say how it was."""

import re
from typing import Any

import httpx
from playwright.async_api import Page, expect

from tests.console.browsing import COOKIE, Site, cookie_of
from tests.processes import CONSOLE
from tests.system import Shop

ORDER = re.compile(r".*/my-orders/[0-9a-f-]{36}$")


def browser(shop: Shop, who: str) -> httpx.Client:
    """Whoever is logged in, without a browser: what is refused is not complained about."""
    url = shop.system.url(CONSOLE)
    return httpx.Client(
        base_url=url, trust_env=False, cookies={COOKIE: cookie_of(shop.system, who)}, headers={"Origin": url}
    )


def hidden(html: str, name: str) -> str:
    """The value of a hidden field."""
    [value] = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', html)
    return str(value)


async def open_order(shop: Shop, who: str, **changes: Any) -> str:
    return await shop.place({"margherita": 1}, customer=who, **changes)


async def with_a_cart(page: Page, quantity: int = 2) -> None:
    """Begin a new cart, as somebody who never had one does."""
    await page.goto(f"/shop/who?item=margherita&quantity={quantity}")
    await page.get_by_label("Mail address").fill("ben@example.com")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator(".basket")).to_contain_text("Margherita is in the cart.")


async def test_the_menu_hangs_in_the_window_with_pictures(site: Site) -> None:
    page = await site.as_(None)
    await page.goto("/shop")
    await expect(page.get_by_role("heading", name="Margherita")).to_be_visible()
    assert await page.locator(".dish svg").count() == await page.locator(".dish").count() > 10
    assert await page.get_by_role("button", name="Add").count() == 0
    await site.look(page, "shop-menu-nobody")


async def test_what_is_sold_out_is_shown_so_at_once_and_cannot_be_added(site: Site, shop: Shop) -> None:
    page = await site.as_("ben")
    await page.goto("/shop")
    lemonade = page.locator("#item-lemonade")
    await expect(lemonade.get_by_role("button")).to_be_visible()
    await page.get_by_label("How many of Cola").fill("7")
    url = shop.url("orders", "/menu/lemonade")
    try:
        (await shop.http.patch(url, json={"sold_out": True})).raise_for_status()
        await expect(lemonade).to_contain_text("sold out")
        await expect(lemonade.get_by_role("button")).to_have_count(0)
        await expect(page.get_by_label("How many of Cola")).to_have_value("7")
    finally:
        (await shop.http.patch(url, json={"sold_out": False})).raise_for_status()
    await expect(lemonade.get_by_role("button")).to_be_visible()


async def test_who_orders_is_asked_once_and_what_was_typed_stays_when_it_is_refused(site: Site) -> None:
    site.expected = 1
    page = await site.as_("ben")
    await page.goto("/shop/who?item=margherita&quantity=2")
    await page.locator("main form").evaluate("form => form.noValidate = true")
    await page.get_by_label("Name").fill("Ben the Second")
    await page.get_by_label("Mail address").fill("no mail")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("alert")).to_contain_text("customer.email")
    await expect(page.get_by_label("Name")).to_have_value("Ben the Second")
    await site.look(page, "shop-who")
    await page.get_by_label("Mail address").fill("ben@example.com")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator(".basket")).to_contain_text("Margherita is in the cart. 2 pieces in all.")


async def test_a_customer_orders_and_follows_the_order_live_to_its_review(site: Site, shop: Shop) -> None:
    site.expected = 1
    page = await site.as_("ben")
    await with_a_cart(page)
    await page.get_by_role("button", name="Put Cola into the cart").click()
    await expect(page.locator(".basket")).to_contain_text("3 pieces in all.")
    await site.look(page, "shop-menu")
    await page.get_by_role("link", name="To the cart").click()
    await _change_the_cart(page)
    await site.look(page, "shop-cart")
    await _check_out(page)
    order = page.url.rsplit("/", 1)[1]
    await _follow(page, shop, order)
    await site.look(page, "shop-order")
    await _review(site, page)
    await page.goto("/my-orders")
    await expect(page.get_by_text("Your points")).to_be_visible()
    await site.look(page, "shop-orders")


async def _change_the_cart(page: Page) -> None:
    await page.get_by_label("How many of Margherita", exact=True).fill("1")
    await page.get_by_role("button", name="Change how many of Margherita").click()
    await expect(page.locator(".total")).to_contain_text("15.00 GBP")
    await page.get_by_role("button", name="Remove Cola").click()
    await expect(page.locator(".total")).to_contain_text("12.00 GBP")


async def _check_out(page: Page) -> None:
    """Without an address first, which is refused."""
    await page.get_by_label("Address").fill("")
    await page.get_by_role("button", name="Order for 12.00 GBP").click()
    await expect(page.get_by_role("alert")).to_contain_text("is needed for delivery")
    await page.get_by_label("Address").fill("2 Mill Lane")
    await page.get_by_role("button", name="Order for 12.00 GBP").click()
    await page.wait_for_url(ORDER)


async def _follow(page: Page, shop: Shop, order: str) -> None:
    current = page.locator(".track [aria-current=step]")
    await expect(current).to_contain_text("Confirmed")
    await expect(page.locator(".notice.large")).to_contain_text("Next: being made, expected in")
    await shop.press(order, "prepared")
    await expect(current).to_contain_text("Being made")
    await expect(page.get_by_role("link", name="Cancel this order")).to_have_count(0)
    await shop.press(order, "baked", "dispatched")
    await expect(current).to_contain_text("On its way")
    await shop.press(order, "delivered")
    await expect(page.get_by_role("link", name="Say how it was")).to_be_visible()
    await expect(page.get_by_text("To 2 Mill Lane, for Ben.")).to_be_visible()


async def _review(site: Site, page: Page) -> None:
    await page.get_by_role("link", name="Say how it was").click()
    await site.look(page, "shop-review")
    await page.get_by_label("4 of 5 stars").check()
    await page.get_by_label("In words, if you like").fill("Warm,\nand early.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".acts")).to_contain_text("4 of 5 stars. Warm, and early.")


async def test_an_order_is_cancelled_with_a_reason_and_too_late_says_so_and_keeps_it(site: Site, shop: Shop) -> None:
    site.expected = 1
    late, early = await open_order(shop, "ben"), await open_order(shop, "ben")
    page = await site.as_("ben")
    await page.goto(f"/my-orders/{late}/cancel")
    await page.get_by_label("Why").fill("Not hungry")
    await site.look(page, "shop-cancel")
    await shop.press(late, "prepared")
    await shop.wait_for_status(late, "preparing")
    await page.get_by_role("button", name="Cancel the order").click()
    await expect(page.get_by_role("alert")).to_contain_text("preparing")
    await expect(page.get_by_label("Why")).to_have_value("Not hungry")
    await page.goto(f"/my-orders/{early}")
    await page.get_by_role("link", name="Cancel this order").click()
    await page.get_by_label("Why").fill("Not hungry")
    await page.get_by_role("button", name="Cancel the order").click()
    await expect(page.locator(".notice.large")).to_contain_text("Cancelled: Not hungry")


async def test_orders_are_moved_through_and_opened_by_keys(site: Site, shop: Shop) -> None:
    order = await open_order(shop, "ben")
    page = await site.as_("ben")
    await page.goto("/my-orders")
    await expect(page.locator("tbody tr").first).to_have_attribute("data-to", f"/my-orders/{order}")
    for key in ("j", "j", "k", "Enter"):
        await page.keyboard.press(key)
    await page.wait_for_url(f"**/my-orders/{order}")


async def test_a_checkout_that_is_sent_again_is_the_same_order(shop: Shop) -> None:
    with browser(shop, "ben") as ben:
        began = {"item": "cola", "quantity": "1", "name": "Ben", "email": "ben@example.com"}
        assert ben.post("/shop/who", data=began).status_code == 303
        page = ben.get("/cart").text
        kept = {name: hidden(page, name) for name in ("key", "cart", "currency")}
        form = {**kept, "fulfilment": "collection"}
        led = [ben.post("/cart/checkout", data=form).headers["location"] for _ in range(2)]
        assert ORDER.match(led[0])
        assert led[0] == led[1]
        again = ben.post("/cart/checkout", data={**form, "key": "another-key"})
        assert (again.status_code, led[0].rsplit("/", 1)[1] in again.text) == (422, True)


async def test_a_checkout_that_takes_long_is_shown_as_under_way_until_there_is_an_order(site: Site, shop: Shop) -> None:
    page = await site.as_("ben")
    await with_a_cart(page)
    await page.goto("/cart")
    await page.get_by_label("I collect it").check()
    async with shop.without("orders"):
        await page.get_by_role("button", name=re.compile("Order for")).click()
        await expect(page.get_by_text("Your order is being placed.")).to_be_visible()
    await page.get_by_role("link", name="Follow your order").click()
    await page.wait_for_url(ORDER)


async def test_an_order_that_is_refused_at_the_till_says_which_item_it_is(site: Site, shop: Shop) -> None:
    page = await site.as_("ben")
    await with_a_cart(page, 1)
    url = shop.url("orders", "/menu/margherita")
    await page.goto("/cart")
    await page.get_by_label("I collect it").check()
    try:
        (await shop.http.patch(url, json={"sold_out": True})).raise_for_status()
        await page.get_by_role("button", name=re.compile("Order for")).click()
        await expect(page.get_by_role("alert")).to_contain_text("margherita is sold out")
    finally:
        (await shop.http.patch(url, json={"sold_out": False})).raise_for_status()


async def test_what_is_anothers_is_not_there_and_pages_for_customers_are_refused_to_staff(shop: Shop) -> None:
    order = await open_order(shop, "ben")
    with browser(shop, "ada") as ada, browser(shop, "kim") as kim:
        for path in ("", "/cancel", "/review"):
            assert ada.get(f"/my-orders/{order}{path}").status_code == 404
        assert ada.post(f"/my-orders/{order}/cancel").status_code == 422
        for path in ("/cart", "/my-orders", f"/my-orders/{order}", "/shop/who"):
            assert kim.get(path).status_code == 403
        assert kim.post("/shop", data={"item": "cola"}).status_code == 403
        assert "Put Cola into the cart" not in kim.get("/shop").text
    assert (await shop.order(order))["status"] in ("placed", "confirmed")


async def test_the_first_page_leads_to_what_is_ones_own(shop: Shop) -> None:
    for who, ways in {
        "ada": {"/shop", "/my-orders"},
        "kim": {"/kitchen", "/wall"},
        "cory": {"/courier", "/wall"},
        "sam": {"/stock"},
    }.items():
        with browser(shop, who) as known:
            [nav] = re.findall(r'<nav class="ways".*?</nav>', known.get("/").text, re.DOTALL)
            assert {*re.findall('href="([^"]+)"', nav)} == ways
