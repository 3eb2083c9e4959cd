"""Reviews in the whole shop. That an order needs none, all other tests show: there are none."""

from typing import Any

import pytest

from tests.system import Document, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("reviews")


async def say(shop: Shop, order: str, **said: Any) -> str:
    """Post what the order's customer says of it; returns where it is shown."""
    body = {"order": order, "customer": (await shop.order(order))["customer"], **said}
    answer = await shop.http.post(shop.url("reviews", "/reviews"), json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


async def analysed(shop: Shop, review: str) -> Document:
    async def found() -> Document | None:
        document: Document = await shop.get("reviews", review)
        return document if document["label"] else None

    return await eventually(found, what=f"{review} is analysed")


async def test_who_liked_an_order_is_thanked_by_mail(shop: Shop) -> None:
    order = await shop.place({"cola": 1})
    assert (await analysed(shop, await say(shop, order, text="Best cola in town, thank you!")))["label"] == "positive"
    recipient = (await shop.order(order))["customer"]["email"]

    async def thanked() -> bool:
        return "Thank you for your review" in [mail["Subject"] for mail in await shop.mails(recipient)]

    await eventually(thanked, what="the customer is thanked")


async def test_who_did_not_is_looked_after_and_credited(shop: Shop) -> None:
    order = await shop.place({"cola": 1})
    review = await analysed(shop, await say(shop, order, stars=1, text="Cold.\nLate."))
    case: Document = await shop.get("reviews", f"/cases/{review['id']}")
    assert (case["status"], case["text"]) == ("open", "Cold.\nLate.")
    resolve = shop.url("reviews", f"/cases/{review['id']}/resolve")
    assert (await shop.http.post(resolve, json={"note": "Called her.", "points": 20})).status_code == 200
    customer = case["customer"]["id"]

    async def granted() -> list[int]:
        account = await shop.get("loyalty", f"/customers/{customer}/points")
        return [entry["points"] for entry in account["history"] if entry["case"] == review["id"]]

    assert await eventually(granted, what="the points are credited") == [20]
