"""Alerts against a real database: levels come in as events, and each crossing goes out once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from services.alerts.decisions import QUIET
from services.alerts.jobs import JOBS
from services.alerts.service import SERVICE
from services.alerts.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.things import running
from tests.waiting import eventually

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
    await alerts.feed(at(sku, 110), at(sku, 101))
    assert await told(alerts, sku) == ["+low", "-low"]


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


async def test_too_much_is_over_until_a_tenth_below_the_ceiling(alerts: Fed) -> None:
    sku = new_id()
    await alerts.feed(at(sku, 1001), at(sku, 1500), at(sku, 1000))
    assert await told(alerts, sku) == ["+over"]
    await alerts.feed(at(sku, 900))
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


@asynccontextmanager
async def quiet_for(alerts: Fed, seconds: float) -> AsyncIterator[None]:
    """With the worker that ends quiet times of this length."""
    settings = Settings(database_url="postgresql://unused", alert_quiet_seconds=seconds)
    async with running(Worker(QUIET, JOBS[QUIET], Context(settings, alerts.database))):
        yield


async def until_told(alerts: Fed, sku: str, expected: list[str]) -> None:
    async def is_told() -> bool:
        return await told(alerts, sku) == expected

    await eventually(is_told, 15, what=f"{sku} is told {expected}")


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(50, 500, "low"), (0, 500, "out"), (900, 1001, "over")], ids=["low", "out", "over"]
)
async def test_what_happens_again_and_again_is_told_once_and_later_how_often(
    alerts: Fed, low: int, high: int, kind: str
) -> None:
    sku = new_id()
    first, second = (high, low) if kind == "over" else (low, high)
    for _ in range(5):
        await alerts.feed(at(sku, first), at(sku, second))
    await alerts.feed(at(sku, first))
    assert await told(alerts, sku) == [f"+{kind}", f"-{kind}"]
    assert [each["active"] for each in await shown(alerts) if each["kind"] == kind] == [True]
    async with quiet_for(alerts, 0.2):
        await until_told(alerts, sku, [f"+{kind}", f"-{kind}", f"+{kind}"])
    _, again = (await alerts.published(sku))[-1]
    assert (again["times"], again["available"]) == (5, first)
    await alerts.feed(at(sku, second))
    assert (await told(alerts, sku))[-1] == f"-{kind}"


async def test_what_was_held_back_and_is_over_is_told_when_the_quiet_time_ends(alerts: Fed) -> None:
    sku = new_id()
    for _ in range(3):
        await alerts.feed(at(sku, 50), at(sku, 500))
    async with quiet_for(alerts, 0.2):
        await until_told(alerts, sku, ["+low", "-low"] * 2)
    _, again = (await alerts.published(sku))[2]
    assert (again["times"], again["available"]) == (2, 50)


async def test_a_shop_in_peace_is_told_nothing_before_the_quiet_time_ends(alerts: Fed) -> None:
    sku, other = new_id(), new_id()
    await alerts.feed(at(sku, 50), at(sku, 500), at(sku, 50))
    async with quiet_for(alerts, 3600):
        await alerts.feed(at(other, 50))
        await until_told(alerts, other, ["+low"])
        await until_due(alerts, sku)
    assert await told(alerts, sku) == ["+low", "-low"]


async def until_due(alerts: Fed, sku: str) -> None:
    """Return when the worker has looked, and will look again when the hour is over."""
    due = text("SELECT due > now() + interval '50 minutes' FROM jobs WHERE kind = 'quiet' AND key = :key")
    async with alerts.database.reading() as connection:

        async def is_due() -> bool:
            return bool((await connection.execute(due, {"key": f"{sku} low"})).scalar())

        await eventually(is_due, 15)


@pytest.mark.parametrize(
    ("levels", "limits"),
    [
        ((100, 101), {"threshold": 10, "ceiling": 100}),
        ((10, 11), {"threshold": 10}),
        ((0, 1), {"threshold": 10}),
        ((0, 2), {"threshold": 0}),
    ],
)
async def test_stock_that_swings_around_a_line_is_told_once(
    alerts: Fed, levels: tuple[int, ...], limits: dict[str, Any]
) -> None:
    sku = new_id()
    for _ in range(10):
        await alerts.feed(*(at(sku, available, **limits) for available in levels))
    assert len(await told(alerts, sku)) == 1


async def test_a_sku_that_is_retired_leaves_no_alert_behind(alerts: Fed) -> None:
    sku, other = new_id(), new_id()
    retired = ("sliceline.inventory.sku-retired.v1", {"sku": sku, "by": "ann"})
    await alerts.feed(at(sku, 50), at(sku, 0), at(other, 0), retired)
    assert await told(alerts, sku) == ["+low", "+out", "-low", "-out"]
    assert [each["sku"] for each in await shown(alerts, active="true")] == [other]
    assert all(each["cleared_at"] for each in await shown(alerts, active="false"))
    await alerts.feed(retired, at(sku, 500))
    assert len(await told(alerts, sku)) == 4


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
