"""Payments' HTTP API: how the payment of an order stands, and what a day has brought in."""

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from backbone.http import Db, Problem
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.payments import store
from services.payments.decisions import Status

router = APIRouter()

PROBLEMS = {
    "No such payment": "No payment of this order is known, or not yet: it follows the order by a moment.",
}

OrderId = Annotated[Key, Path(description="The order's id")]


def _day(given: Any) -> Any:
    """Take a day as it is written, and nothing that only could be one, like seconds since 1970."""
    if isinstance(given, str) and _DAY.fullmatch(given):
        with suppress(ValueError):
            return date.fromisoformat(given)
    raise ValueError("must be a day like 2026-01-31, in this millennium")


_DAY = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class Amount(BaseModel):
    """Holds minor units (pence, cents) of an ISO 4217 currency."""

    amount: int
    currency: str


class RefundView(BaseModel):
    """Shows what was given back, or is about to be, of a payment that is otherwise kept."""

    id: str
    amount: Amount
    reason: str
    status: Literal["requested", "paid", "failed"]
    requested_at: datetime
    settled_at: datetime | None


class Taken(BaseModel):
    """Holds a day's takings in one currency, in minor units; `net` is what was received less what was refunded."""

    currency: str
    received: int
    refunded: int
    net: int
    payments: int
    refunds: int


class Takings(BaseModel):
    """Shows a day's takings: of what was received and given back from `since` until before `until`."""

    day: date
    time_zone: str
    since: datetime
    until: datetime
    currencies: list[Taken]


class PaymentView(BaseModel):
    """Shows one order's payment. `first_attempt_at` is null while it waits for its turn."""

    order: str
    status: Status
    amount: Amount
    reference: str
    reason: str | None
    created_at: datetime
    first_attempt_at: datetime | None
    changed_at: datetime
    refunds: list[RefundView]


@router.get("/takings")
@may("payments.read")
async def get_takings(
    db: Db,
    context: Ctx,
    day: Annotated[Day | None, Query(description="Left out: today, as the shop counts its days.")] = None,
) -> Takings:
    """Adds up a day's takings: what was received, what was given back, and the difference, by currency."""
    zone = context.settings.zone
    shown = day or context.database.now().astimezone(zone).date()
    since, until = (datetime.combine(each, time(), zone) for each in (shown, shown + timedelta(days=1)))
    found = await store.add_up(db, since, until)
    return Takings(day=shown, time_zone=zone.key, since=since, until=until, currencies=[_taken(row) for row in found])


@router.get("/payments/{order}")
@may("payments.read")
async def get_payment(order: OrderId, db: Db) -> PaymentView:
    """Shows how the payment of an order stands."""
    row = await store.find(db, order)
    if row is None:
        raise Problem(404, "No such payment", f"No payment is known for order {order}.")
    return PaymentView(
        order=row.order_id,
        status=Status(row.status),
        amount=Amount(amount=row.amount, currency=row.currency),
        reference=row.order_id,
        reason=row.reason,
        created_at=row.created_at,
        first_attempt_at=row.first_attempt_at,
        changed_at=row.changed_at,
        refunds=[_refund(each) for each in await store.list_refunds(db, order)],
    )


def _taken(row: asyncpg.Record) -> Taken:
    counts = {name: int(row[name]) for name in ("received", "refunded", "payments", "refunds")}
    return Taken(currency=row["currency"], net=counts["received"] - counts["refunded"], **counts)


def _refund(row: asyncpg.Record) -> RefundView:
    return RefundView(
        id=row["id"],
        amount=Amount(amount=row["amount"], currency=row["currency"]),
        reason=row["reason"],
        status=row["status"],
        requested_at=row["requested_at"],
        settled_at=row["settled_at"],
    )
