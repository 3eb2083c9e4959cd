import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from backbone.ids import new_id
from services.loyalty import store
from services.loyalty.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed


@pytest.fixture
async def loyalty(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def completed(customer: str, amount: int, currency: str = "GBP", order: str = "") -> tuple[str, dict[str, Any]]:
    total = {"amount": amount, "currency": currency}
    data = {"order": order or new_id(), "customer_id": customer, "total": total}
    return "sliceline.orders.order-completed.v1", data


def resolved(customer: str, granted: int, case: str = "", order: str = "") -> tuple[str, dict[str, Any]]:
    data = {"case": case or new_id(), "order": order or new_id(), "customer_id": customer, "note": "Called her."}
    return "sliceline.reviews.case-resolved.v1", {**data, "points": granted, "by": "grace"}


async def points(loyalty: Fed, customer: str, **params: str) -> dict[str, Any]:
    answer = await loyalty.client.get(f"/customers/{quote(customer, safe='')}/points", params=params)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_a_completed_order_earns_its_points_and_says_so(loyalty: Fed) -> None:
    order = new_id()
    await loyalty.feed(completed("ada", 2499, order=order))
    found = await points(loyalty, "ada")
    assert found["history"][0].pop("at").endswith("Z")
    assert found == {
        "customer": "ada",
        "points": 24,
        "history": [{"order": order, "case": None, "points": 24, "balance": 24}],
        "next": None,
    }
    assert await loyalty.published("ada") == [
        (
            "sliceline.loyalty.points-earned.v1",
            {"order": order, "customer_id": "ada", "points": 24, "balance": 24},
        )
    ]


async def test_somebody_unknown_has_no_points(loyalty: Fed) -> None:
    assert await points(loyalty, "nobody") == {"customer": "nobody", "points": 0, "history": [], "next": None}


async def test_less_than_one_unit_earns_nothing_and_nothing_is_told(loyalty: Fed) -> None:
    await loyalty.feed(completed("ada", 99))
    assert (await points(loyalty, "ada"))["points"] == 0
    assert await loyalty.published("ada") == []


async def test_an_occurrence_that_comes_twice_is_credited_once(loyalty: Fed) -> None:
    record = loyalty.record(*completed("ada", 1000))
    await loyalty.deliver(record, record)
    await loyalty.deliver(record)
    assert (await points(loyalty, "ada"))["points"] == 10


async def test_a_resolved_case_grants_its_points_once_and_says_so(loyalty: Fed) -> None:
    order, case = new_id(), new_id()
    record = loyalty.record(*resolved("ada", 20, case, order))
    await loyalty.feed(completed("ada", 100))
    await loyalty.deliver(record, record)
    await loyalty.deliver(record)
    found = await points(loyalty, "ada")
    assert [(each["case"], each["order"], each["points"]) for each in found["history"][:1]] == [(case, order, 20)]
    assert (found["points"], len(found["history"])) == (21, 2)
    [_, granted] = await loyalty.published("ada")
    said = {"customer_id": "ada", "case": case, "order": order, "points": 20, "balance": 21}
    assert granted == ("sliceline.loyalty.points-granted.v1", said)


async def test_a_case_that_grants_nothing_changes_nothing_and_is_not_told(loyalty: Fed) -> None:
    await loyalty.feed(resolved("ada", 0))
    assert (await points(loyalty, "ada"))["history"] == []
    assert await loyalty.published("ada") == []


async def test_a_batch_credits_each_customer_in_order(loyalty: Fed) -> None:
    await loyalty.feed(completed("ada", 1000), completed("bob", 500, "JPY"), completed("ada", 300))
    assert [entry["balance"] for entry in (await points(loyalty, "ada"))["history"]] == [13, 10]
    assert (await points(loyalty, "bob"))["points"] == 500
    assert [data["balance"] for _, data in await loyalty.published("ada")] == [10, 13]


async def test_replicas_that_meet_on_the_same_customers_lose_nothing(loyalty: Fed) -> None:
    # One partition each, as with two replicas; the second meets the customers the other way round.
    customers = [f"customer-{number}" for number in range(20)]
    batches = [[loyalty.record(*completed(each, 100)) for each in names] for names in (customers, customers[::-1])]
    await asyncio.gather(*(loyalty.deliver(*batch, partition=number) for number, batch in enumerate(batches)))
    assert [(await points(loyalty, each))["points"] for each in customers] == [2] * 20


async def test_replicas_lock_the_same_customers_in_one_order(loyalty: Fed) -> None:
    async def lock(customers: list[str]) -> None:
        async with loyalty.database.transaction() as tx:
            await store.begin_all(tx, customers)

    for _ in range(5):
        customers = [new_id() for _ in range(3000)]
        await asyncio.gather(lock(customers), lock(customers[::-1]), lock(customers + customers))


@pytest.mark.parametrize("customer", ["a/b", "ada lovelace", "points", "50%", "ada@example.com", "Ærø ☂", "a/points"])
async def test_customers_are_named_as_the_shop_likes(loyalty: Fed, customer: str) -> None:
    await loyalty.feed(completed(customer, 100))
    assert (await points(loyalty, customer))["points"] == 1


async def test_the_history_is_paged_with_the_newest_first(loyalty: Fed) -> None:
    await loyalty.feed(*(completed("ada", 100 * number) for number in (1, 2, 3, 4, 5)))
    first = await points(loyalty, "ada", limit="3")
    second = await points(loyalty, "ada", limit="3", after=first["next"])
    assert [entry["points"] for entry in first["history"] + second["history"]] == [5, 4, 3, 2, 1]
    assert (first["points"], second["points"], second["next"]) == (15, 15, None)


@pytest.mark.parametrize("after", ["%%", "YWJj", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
async def test_a_cursor_that_is_none_is_refused(loyalty: Fed, after: str) -> None:
    answer = await loyalty.client.get("/customers/ada/points", params={"after": after})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "after"
