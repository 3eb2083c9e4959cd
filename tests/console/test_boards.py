"""What the staff does on the console's pages: kitchen, courier, stock, and the wall."""

from playwright.async_api import expect

from backbone.ids import new_id
from services.console.buying import call_number
from tests.console.browsing import NARROW, Site
from tests.console.test_shop import browser
from tests.processes import CONSOLE
from tests.system import Shop
from tests.waiting import eventually


async def test_the_kitchen_sees_an_order_come_and_presses_its_buttons_on_a_phone(site: Site, shop: Shop) -> None:
    page = await site.as_("kim", width=NARROW)
    await page.goto("/kitchen")
    await expect(page.locator("#connection")).to_have_text("live")
    order = await shop.place({"margherita": 2, "cola": 1})
    ticket = page.locator(f"#ticket-{order}")
    await expect(ticket).to_contain_text("2 × margherita")
    button = ticket.get_by_role("button")
    box = await button.bounding_box()
    assert box is not None
    assert box["height"] >= 48
    await button.click()
    await shop.wait_for_status(order, "preparing")
    await expect(ticket.get_by_role("button", name="Out of the oven")).to_be_visible()
    await site.look(page, "kitchen")
    await ticket.get_by_role("button", name="Out of the oven").click()
    await shop.wait_for_status(order, "baked")
    await expect(ticket).to_have_count(0)


async def test_the_courier_takes_an_order_along_and_hands_it_over(site: Site, shop: Shop) -> None:
    order = await shop.place({"margherita": 1}, address="3 Mill Lane")
    collected = await shop.place({"cola": 1}, fulfilment="collection", address=None)
    await shop.press(order, "prepared", "baked")
    page = await site.as_("cory", width=NARROW)
    await page.goto("/courier")
    delivery = page.locator(f"#delivery-{order}")
    await expect(delivery).to_contain_text("3 Mill Lane")
    await delivery.get_by_role("button", name="I have it").click()
    await expect(delivery.get_by_role("button", name="Handed over")).to_be_visible()
    await site.look(page, "courier")
    await delivery.get_by_role("button", name="Handed over").click()
    await shop.wait_for_status(order, "completed")
    await page.locator(f"#delivery-{collected}").get_by_role("button", name="Collected").click()
    await shop.wait_for_status(collected, "completed")


async def test_a_button_that_does_not_come_next_is_refused_with_the_board(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    with browser(shop, "kim") as kim, browser(shop, "cory") as cory:
        await eventually(lambda: f"ticket-{order}" in kim.get("/kitchen").text, what=f"the kitchen has {order}")
        told = kim.post("/kitchen", data={"order": order, "step": "baked"})
        assert (told.status_code, "alert" in told.text, f"ticket-{order}" in told.text) == (422, True, True)
        assert cory.post("/courier", data={"order": order, "step": "delivered"}).status_code == 422
        assert kim.post("/kitchen", data={"order": order, "step": "../x"}).status_code == 422
    assert (await shop.order(order))["status"] == "confirmed"


async def test_stock_is_adjusted_counted_and_limited_with_a_reason(site: Site, shop: Shop) -> None:
    site.expected = 1
    sku = f"console-{new_id()}"
    body = {"sku": sku, "on_hand": 20, "threshold": 5, "ceiling": 100}
    (await shop.http.post(shop.url("inventory", "/stock"), json=body)).raise_for_status()
    page = await site.as_("sam")
    await page.goto(f"/stock/{sku}")
    await page.get_by_label("How many more").fill("-21")
    await page.locator("#change-reason").fill("fell down")
    await page.get_by_role("button", name="Write down", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("Of 20 on hand 0 are reserved")
    await expect(page.get_by_label("How many more")).to_have_value("-21")
    await expect(page.locator("#change-reason")).to_have_value("fell down")
    await page.get_by_label("How many more").fill("-16")
    await page.get_by_role("button", name="Write down", exact=True).click()
    await expect(page.locator(".notice")).to_contain_text("It is written down.")
    assert (await shop.stock(sku))["on_hand"] == 4
    await page.get_by_label("How many there are").fill("120")
    await page.get_by_role("button", name="Write down the count").click()
    await expect(page.locator(".mark").first).to_contain_text("over")
    await page.get_by_label("Over above").fill("200")
    await page.get_by_role("button", name="Set limits").click()
    await expect(page.locator(".mark").first).to_contain_text("well")
    level = await shop.stock(sku)
    assert (level["on_hand"], level["ceiling"]) == (120, 200)
    await site.look(page, "stock-one")
    await page.goto(f"/stock/{sku}")
    await page.get_by_label("How many more").fill("5")
    await page.get_by_role("button", name="Write down", exact=True).click()
    await expect(page.locator(".notice")).to_contain_text("It is written down.")
    await page.go_back()
    await expect(page.get_by_label("How many more")).to_have_value("")


async def test_the_list_of_stock_is_live_and_filtered_by_its_address(site: Site, shop: Shop) -> None:
    sku = f"a-console-{new_id()}"
    body = {"sku": sku, "on_hand": 20, "threshold": 5, "ceiling": 100}
    (await shop.http.post(shop.url("inventory", "/stock"), json=body)).raise_for_status()
    page = await site.as_("sam")
    await page.goto("/stock")
    row = page.locator(f'tr[data-to="/stock/{sku}"]')
    await expect(row).to_contain_text("well")
    await shop.adjust(sku, "test", set=3)
    await expect(row).to_contain_text("low")
    await site.look(page, "stock")
    await page.get_by_role("link", name="Low", exact=True).click()
    await page.wait_for_url("**/stock?standing=low")
    await expect(row).to_contain_text("low")
    await shop.adjust(sku, "test", set=20)
    await expect(row).to_have_count(0)
    await page.go_back()
    await expect(row).to_contain_text("well")


async def test_the_wall_shows_numbers_live_and_no_name_and_a_code_to_order(site: Site, shop: Shop) -> None:
    page = await site.as_("olga")
    await page.goto("/wall")
    order = await shop.place({"margherita": 1}, address="99 Nowhere Lane")
    number = call_number(order)
    kitchen, leaving, finished = (page.locator(".board").nth(place) for place in range(3))
    await expect(kitchen.get_by_text(number)).to_be_visible()
    await shop.press(order, "prepared", "baked", "dispatched")
    await expect(leaving.locator("li", has_text=number)).to_contain_text("On its way")
    await site.look(page, "wall")
    shown = await page.content()
    await shop.press(order, "delivered")
    await expect(finished.get_by_text(number)).to_be_visible()
    for text in (shown, await page.content()):
        assert order not in text
        for personal in ("99 Nowhere Lane", "@example.com", ">Ada<"):
            assert personal not in text
    code = page.get_by_role("img", name=f"A code that leads to {shop.system.url(CONSOLE)}/shop")
    await expect(code.locator("svg")).to_be_visible()


async def test_what_is_for_others_is_refused_and_its_buttons_are_not_shown(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    with browser(shop, "ada") as ada, browser(shop, "kim") as kim, browser(shop, "rita") as rita:
        for path in ("/kitchen", "/courier", "/stock", "/stock/dough", "/wall"):
            assert ada.get(path).status_code == 403
            assert rita.get(path).status_code == 200
        assert [kim.get(path).status_code for path in ("/courier", "/stock", "/kitchen", "/wall")] == [
            403,
            403,
            200,
            200,
        ]
        assert "Into the oven" in kim.get("/kitchen").text
        assert "Into the oven" not in rita.get("/kitchen").text
        assert "<h2>Counted</h2>" not in rita.get("/stock/dough").text
        assert rita.post("/kitchen", data={"order": order, "step": "prepared"}).status_code == 403
        assert rita.post("/stock/dough", data={"does": "count", "set": "1", "reason": "x"}).status_code == 403
    assert (await shop.order(order))["status"] == "confirmed"


async def test_a_sku_that_is_not_kept_is_not_there(shop: Shop) -> None:
    with browser(shop, "sam") as sam:
        assert sam.get("/stock/nothing-of-the-kind").status_code == 404
        assert sam.post("/stock/dough", data={"does": "change", "change": "x", "reason": "y"}).status_code == 422
