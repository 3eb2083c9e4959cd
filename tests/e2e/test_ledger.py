"""The ledger in the whole shop. That an order needs none, all other tests show: there is none."""

from base64 import b64decode

import pytest

from tests.system import Document, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("ledger")


async def _leads_to_its_contract(shop: Shop, step: Document) -> None:
    raw = (await shop.get("ledger", f"/events/{step['event']}"))["raw"]
    headers = {each["name"]: b64decode(each["value_base64"]).decode() for each in raw["headers"]}
    assert (await shop.http.get(headers["ce_dataschema"])).json()["title"] == step["type"]

    async def is_read() -> bool:
        """A service that does not answer the ledger at this moment is None there."""
        services = (await shop.get("ledger", "/catalogue/live"))["services"]
        found = [services[name] for name in ("kitchen", "delivery", "ledger")]
        return all(each is not None and step["type"] in each["read"] for each in found)

    await eventually(is_read, what=f"kitchen, delivery and ledger have read {step['type']}")


async def test_the_journey_of_an_order_tells_where_its_time_went_and_that_all_have_finished(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    await shop.complete(order)

    async def finished() -> Document | None:
        if not (await shop.get("ledger", "/events", key=order))["items"]:
            return None  # it has not heard of the order yet
        found: Document = await shop.get("ledger", f"/orders/{order}/journey")
        told = {step["type"].split(".")[2] for step in found["steps"]}
        ended = (
            {"order-delivered", "order-completed", "points-earned"} <= told
            and not found["unfinished"]
            and not found["jobs"]
        )
        return found if ended else None

    journey = await eventually(finished, what=f"all have finished with the order {order}")
    steps = journey["steps"]
    types = [step["type"].removeprefix("sliceline.") for step in steps]
    assert types[0] == "orders.order-placed.v1"
    assert {"orders.order-confirmed.v1", "orders.order-confirmed.v2", "delivery.order-delivered.v1"} <= {*types}
    assert len({(step["source"], step["event"]) for step in steps}) == len(steps)
    assert not [step["sentence"] for step in steps if "{" in step["sentence"] or "ada@" in step["sentence"]]
    assert steps[0]["finished"] == ["inventory", "payments"]
    spans = [step["in_outbox_ms"] for step in steps]
    spans += [each[name] for step in steps for each in step["listeners"] for name in ("in_topic_ms", "in_handler_ms")]
    assert all(span is not None for span in spans)
    await _leads_to_its_contract(shop, steps[types.index("orders.order-confirmed.v2")])
    at = {name: number for number, name in enumerate(types)}
    assert at["orders.order-placed.v1"] < at["inventory.stock-reserved.v1"] < at["orders.order-confirmed.v2"]
