"""What the staff writes down of stock is written down once, and is something."""

import httpx
from htpy import fragment

from services.console.asking import Ask, Services
from services.console.pages import stock
from services.console.session import ANYBODY
from services.console.shell import Page

LEVEL = {"sku": "basil", "available": 4, "on_hand": 4, "reserved": 0, "sold": 0, "threshold": 1, "ceiling": 9}


async def test_a_change_of_nothing_is_refused_with_what_was_typed_and_nothing_is_asked_for() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, json=LEVEL)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        form = {"does": "change", "change": "0", "reason": "fell down", "key": "k"}
        ask = Ask(ANYBODY, Services(http, {"inventory": "http://inventory"}), {"sku": "basil"}, form=form)
        page = await stock.write_down(ask)
    assert isinstance(page, Page)
    assert (page.status, asked) == (422, ["GET"])
    assert "0 more changes nothing." in str(fragment[page.above])
    assert 'value="fell down"' in str(fragment[page.body])
