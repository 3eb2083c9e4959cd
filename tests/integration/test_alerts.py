"""Alerts against a real database: levels come in as events, and each crossing goes out once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backbone.identity import new_id
from services.alerts.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

LEVEL_CHANGED = "sliceline.inventory.stock-level-changed.v1"


@pytest.fixture
async def alerts(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def at(sku: str, available: int, *, channel: str = "orders", **limits: int) -> tuple[str, dict[str, Any]]:
    return LEVEL_CHANGED, {
        "sku": sku,
        "before": {"available": 500},
        "after": {"available": available},
        "threshold": 100,
        "ceiling": 1000,
        "channel": channel,
        "reason": "sold",
    } | limits


async def told(alerts: Fed, sku: str) -> list[str]:
    """+kind for raised, -kind for cleared."""
    events = await alerts.published(sku)
    return [("+" if "raised" in event_type else "-") + data["kind"] for event_type, data in events]


async def shown(alerts: Fed, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await alerts.client.get("/alerts", params=query)).json()["items"]
    return items


async def test_a_crossing_is_told_once_with_the_channel_that_made_it(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 101), at(sku, 100, channel="shop-till"), at(sku, 99), at(sku, 42))
    assert await alerts.published(sku) == [
        (
            "sliceline.alerts.stock-alert-raised.v1",
            {
                "sku": sku,
                "kind": "low",
                "available": 100,
                "threshold": 100,
                "ceiling": 1000,
                "channel": "shop-till",
            },
        )
    ]


@pytest.mark.parametrize("channel", ["orders", "staff", "shop-till", "supplier"])
async def test_every_channel_can_raise_an_alert(alerts: Fed, channel: str) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 7, channel=channel))
    assert [data["channel"] for _, data in await alerts.published(sku)] == [channel]


async def test_low_ends_a_tenth_above_the_threshold(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 100), at(sku, 109))
    assert await told(alerts, sku) == ["+low"]
    await alerts.feed(at(sku, 110), at(sku, 101), at(sku, 100))
    assert await told(alerts, sku) == ["+low", "-low", "+low"]


async def test_straight_to_nothing_is_out_alone_and_a_full_delivery_ends_it(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 0))
    assert await told(alerts, sku) == ["+out"]
    await alerts.feed(at(sku, 500, channel="supplier"))
    assert await told(alerts, sku) == ["+out", "-out"]


async def test_too_small_a_delivery_after_out_is_low(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 0), at(sku, 3, channel="supplier"))
    assert await told(alerts, sku) == ["+out", "-out", "+low"]


async def test_too_much_is_over_until_the_ceiling(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 1001), at(sku, 1500), at(sku, 1000))
    assert await told(alerts, sku) == ["+over", "-over"]


async def test_new_limits_raise_and_clear(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 500, threshold=500), at(sku, 500, threshold=100))
    assert await told(alerts, sku) == ["+low", "-low"]


async def test_the_same_occurrence_delivered_twice_is_told_once(alerts: Fed) -> None:
    sku = new_id()
    record = alerts.record(*at(sku, 50))
    await alerts.deliver(record, record)
    await alerts.deliver(record)
    assert await told(alerts, sku) == ["+low"]


async def test_the_list_shows_what_is_active_and_what_was(alerts: Fed) -> None:
    await alerts.feed(at("basil", 100), at("dough", 0), at("basil", 300), at("ham", 2000))
    assert [(each["sku"], each["kind"]) for each in await shown(alerts, active="true")] == [
        ("dough", "out"),
        ("ham", "over"),
    ]
    [basil] = await shown(alerts, active="false")
    assert (basil["sku"], basil["available"], basil["active"]) == ("basil", 300, False)
    assert basil["raised_at"] <= basil["cleared_at"]
    assert [each["sku"] for each in await shown(alerts)] == ["basil", "dough", "ham"]


async def test_the_list_is_paged_also_within_one_sku(alerts: Fed) -> None:
    await alerts.feed(at("basil", 100), at("basil", 0), at("dough", 0))
    first = (await alerts.client.get("/alerts", params={"limit": 1})).json()
    rest = (await alerts.client.get("/alerts", params={"limit": 5, "after": first["next"]})).json()
    found = [(each["sku"], each["kind"]) for each in first["items"] + rest["items"]]
    assert found == [("basil", "low"), ("basil", "out"), ("dough", "out")]
    assert rest["next"] is None


async def test_an_unknown_filter_is_refused_by_field(alerts: Fed) -> None:
    answer = await alerts.client.get("/alerts", params={"active": "perhaps"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "active"
