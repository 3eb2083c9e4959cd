"""The day's takings: every payment and every refund counts once, on the shop's own day, however many there were."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backbone.ids import new_id
from services.payments import store
from services.payments.decisions import Payment, Refund, Status
from services.payments.events import Money
from services.payments.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

DAY = datetime(2026, 3, 28, tzinfo=UTC)


@pytest.fixture
async def payments(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


@pytest.fixture
async def in_london(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fed]:
    monkeypatch.setenv("SLICELINE_TIME_ZONE", "Europe/London")
    async with fed(SERVICE, new_database) as service:
        yield service


async def save(payments: Fed, at: datetime, payment: Payment, *refunds: Refund) -> None:
    """Write what was decided at a moment."""
    async with payments.database.transaction() as tx:
        tx.now = at
        await store.save_all(tx, [payment])
        await store.save_refunds(tx, refunds)


async def received(payments: Fed, at: datetime, amount: int, currency: str = "GBP") -> Payment:
    queued = Payment(order=new_id(), customer="ada", amount=Money(amount, currency), first_attempt_at=at)
    await save(payments, at - timedelta(days=2), queued)
    return await becomes(payments, at, queued, Status.RECEIVED)


async def becomes(payments: Fed, at: datetime, payment: Payment, status: Status) -> Payment:
    changed = replace(payment, status=status)
    await save(payments, at, changed)
    return changed


async def refund(payments: Fed, at: datetime, payment: Payment, amount: int, status: Any = "paid") -> Payment:
    given = amount if status == "paid" else 0
    kept = replace(payment, given_back=payment.given_back + given)
    money = Money(amount, payment.amount.currency)
    await save(payments, at, kept, Refund(id=new_id(), order=payment.order, amount=money, reason="cold", status=status))
    return kept


async def takings(payments: Fed, day: str) -> dict[str, Any]:
    answer = await payments.client.get("/takings", params={"day": day})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def of_day(payments: Fed, day: str) -> list[tuple[str, int, int, int, int, int]]:
    names = ("currency", "received", "refunded", "net", "payments", "refunds")
    return [tuple(each[name] for name in names) for each in (await takings(payments, day))["currencies"]]


async def test_a_day_without_any_has_no_takings(payments: Fed) -> None:
    told = await takings(payments, "2026-03-28")
    assert (told["currencies"], told["time_zone"]) == ([], "UTC")
    assert (told["since"], told["until"]) == ("2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z")
    assert (await payments.client.get("/takings")).json()["day"] == payments.database.now().date().isoformat()


async def test_a_day_adds_up_what_came_and_what_went_by_currency(payments: Fed) -> None:
    noon = DAY + timedelta(hours=12)
    first = await received(payments, noon, 2400)
    await received(payments, noon, 1000)
    await received(payments, noon, 900, "EUR")
    first = await refund(payments, noon + timedelta(hours=1), first, 300)
    await refund(payments, noon + timedelta(hours=2), first, 9999, "failed")
    await refund(payments, noon + timedelta(hours=2), first, 50, "requested")
    assert await of_day(payments, "2026-03-28") == [("EUR", 900, 0, 900, 1, 0), ("GBP", 3400, 300, 3100, 2, 1)]


async def test_what_comes_and_goes_on_different_days_counts_on_each(payments: Fed) -> None:
    payment = await received(payments, DAY, 2400)
    payment = await refund(payments, DAY + timedelta(days=1), payment, 400)
    voiding = await becomes(payments, DAY + timedelta(days=1), payment, Status.VOIDING)
    await becomes(payments, DAY + timedelta(days=2), voiding, Status.REFUNDED)
    days = ["2026-03-27", "2026-03-28", "2026-03-29", "2026-03-30"]
    found = [await of_day(payments, day) for day in days]
    assert found == [[], [("GBP", 2400, 0, 2400, 1, 0)], [("GBP", 0, 400, -400, 0, 1)], [("GBP", 0, 2000, -2000, 0, 1)]]


async def test_what_was_never_received_counts_nowhere(payments: Fed) -> None:
    for status in (Status.QUEUED, Status.CHARGING, Status.FAILED, Status.WITHDRAWN, Status.VOIDING, Status.VOIDED):
        payment = Payment(order=new_id(), customer="ada", amount=Money(1, "GBP"), first_attempt_at=DAY, status=status)
        await save(payments, DAY, payment)
    assert await of_day(payments, "2026-03-28") == []


async def test_what_the_release_before_wrote_counts_too(payments: Fed) -> None:
    """It says nowhere when a payment was received, but by when its row changed last."""
    old, undone = await received(payments, DAY, 700), await received(payments, DAY, 300)
    await becomes(payments, DAY + timedelta(days=1), undone, Status.REFUNDED)
    async with payments.database.transaction() as tx:
        await tx.raw.execute("UPDATE payments SET received_at = NULL")
    assert await of_day(payments, "2026-03-28") == [("GBP", 1000, 0, 1000, 2, 0)]
    await refund(payments, DAY + timedelta(days=1), old, 100)
    assert await of_day(payments, "2026-03-28") == [("GBP", 1000, 0, 1000, 2, 0)]
    assert await of_day(payments, "2026-03-29") == [("GBP", 0, 400, -400, 0, 2)]


async def test_days_are_the_shop_s_own_also_when_its_clocks_change(in_london: Fed) -> None:
    spring = datetime(2026, 3, 29, tzinfo=UTC)  # the clocks go on at 01:00; summer time is an hour ahead
    await received(in_london, spring, 1)
    await received(in_london, spring + timedelta(hours=22, minutes=59), 10)
    await received(in_london, spring + timedelta(hours=23), 100)
    told = await takings(in_london, "2026-03-29")
    assert (told["time_zone"], told["currencies"][0]["received"]) == ("Europe/London", 11)
    assert (told["since"], told["until"]) == ("2026-03-29T00:00:00Z", "2026-03-30T00:00:00+01:00")
    assert await of_day(in_london, "2026-03-30") == [("GBP", 100, 0, 100, 1, 0)]


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-02-30", "2026-3-1", "0", "1700000000", "1999-12-31", "2026-03-28T00:00"]
)
async def test_a_day_that_is_none_is_refused(payments: Fed, day: str) -> None:
    answer = await payments.client.get("/takings", params={"day": day})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "day")


async def test_a_day_is_found_by_indexes_alone_among_many_payments(payments: Fed) -> None:
    database = payments.database
    await database.fetch(
        """
        INSERT INTO payments (order_id, customer, amount, currency, status, received_at, created_at, changed_at)
        SELECT 'o' || n, 'ada', 100, 'GBP', (ARRAY['received', 'refunded'])[1 + n % 2], moment, moment, moment
        FROM (SELECT n, timestamptz '2026-01-01Z' + n * interval '5 minutes' AS moment
              FROM generate_series(1, 50000) AS n) AS p
        """
    )
    await database.fetch(
        """
        INSERT INTO refunds SELECT 'r' || n, 'o' || n, 1, 'GBP', 'cold', 'paid', moment, moment
        FROM (SELECT n, timestamptz '2026-01-01Z' + n * interval '5 minutes' AS moment
              FROM generate_series(1, 50000) AS n) AS p
        """
    )
    await database.fetch("ANALYZE payments, refunds")
    explained = await database.fetch(
        f"EXPLAIN (FORMAT JSON) {store._TAKINGS.text}", *(DAY + timedelta(days=each) for each in (0, 1))
    )
    plan = json.loads(explained[0][0]) if isinstance(explained[0][0], str) else explained[0][0]
    used, scanned = set(), set()

    def look(node: dict[str, Any]) -> None:
        used.add(node.get("Index Name"))
        if node["Node Type"] == "Seq Scan":
            scanned.add(node["Relation Name"])
        for inner in node.get("Plans", ()):
            look(inner)

    look(plan[0]["Plan"])
    assert {"payments_received", "payments_refunded", "refunds_paid"} <= used
    assert not scanned
    assert (await takings(payments, "2026-03-28"))["currencies"][0]["payments"] == 288
