"""Who is let in to the console, how, and what is refused."""

import httpx
import pytest
from playwright.async_api import expect

from cli.browse import entrance
from cli.login import NotLetIn
from cli.running import IDENTITY
from cli.running import Shop as Running
from local.layout import Layout
from local.state import RUNNING, Row
from tests.console.browsing import COOKIE, Site, cookie_of
from tests.processes import CONSOLE
from tests.system import Shop


async def test_somebody_logs_in_at_the_issuer_and_comes_back_to_the_page_and_logs_out(site: Site) -> None:
    page = await site.as_(None)
    await page.goto("/")
    await page.get_by_role("link", name="Log in").first.click()
    assert page.url.startswith(site.system.url("identity"))
    password = (site.system.identity / "people" / "ada" / "password").read_text().strip()
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button").click()
    await expect(page.locator(".who .name")).to_have_text("ada")
    [kept] = [each for each in await page.context.cookies() if each["name"] == COOKIE]
    assert (kept["httpOnly"], kept["sameSite"]) == (True, "Strict")
    another = await page.context.new_page()
    await another.goto("/my-orders")
    await expect(another.locator("#connection")).to_have_text("live")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("link", name="Log in").first).to_be_visible()
    await expect(another.locator("#connection")).to_have_text("logged out")


def test_an_address_that_logs_in_does_so_once(shop: Shop) -> None:
    url = shop.system.url(CONSOLE)
    with httpx.Client(trust_env=False, cookies={COOKIE: cookie_of(shop.system, "olga")}) as known:
        entrance = known.post(f"{url}/enter").raise_for_status().json()["url"]
    with httpx.Client(trust_env=False) as browser:
        browser.get(entrance)
        assert "olga" in browser.get(f"{url}/").text
    with httpx.Client(trust_env=False) as another:
        assert another.get(entrance).status_code == 401
        assert COOKIE not in another.cookies
        assert another.post(f"{url}/enter").status_code == 401


def test_a_page_of_elsewhere_changes_nothing_and_another_name_leads_to_the_one_address(shop: Shop) -> None:
    url = shop.system.url(CONSOLE)
    with httpx.Client(trust_env=False, cookies={COOKIE: cookie_of(shop.system, "olga")}) as browser:
        assert browser.post(f"{url}/logout", headers={"Origin": "http://evil.example"}).status_code == 403
        assert browser.post(f"{url}/logout", headers={"Origin": url}).status_code == 303
        led = browser.get(f"{url}/x?y=1", headers={"Host": "evil.example"})
        assert (led.status_code, led.headers["location"]) == (307, f"{url}/x?y=1")
        assert browser.post(f"{url}/logout", headers={"Host": "evil.example"}).status_code == 421


def test_a_cookie_that_was_changed_is_nobodys(shop: Shop) -> None:
    changed = cookie_of(shop.system, "olga")[:-8] + "AAAAAAA="
    with httpx.Client(trust_env=False, cookies={COOKIE: changed}) as browser:
        assert "olga" not in browser.get(f"{shop.system.url(CONSOLE)}/").text


def test_the_command_line_makes_an_address_that_logs_in_as_whom_one_asks_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.login.layout_for", lambda _: Layout(home=shop.system.logs))
    url = shop.system.url(CONSOLE)
    running = Running(RUNNING, {IDENTITY: Row(IDENTITY, "ready", address=shop.system.url(IDENTITY))})
    for who, name in (("operator", "olga"), ("ben", "ben")):
        with httpx.Client(trust_env=False) as browser:
            assert browser.get(entrance(running, url, who)).status_code == 200
            assert f">{name}<" in browser.get(f"{url}/").text
    with pytest.raises(NotLetIn, match="Nobody is called 'nobody'"):
        entrance(running, url, "nobody")
    assert entrance(Running(RUNNING, {}), url, "operator") == f"{url}/"
