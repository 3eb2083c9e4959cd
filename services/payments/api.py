"""Payments' HTTP API: how the payment of an order stands."""

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
from fastapi import APIRouter, Path
from pydantic import BaseModel

from backbone.http import Db, Problem
from backbone.values.fields import Key
from services.payments import store
from services.payments.decisions import Status

router = APIRouter()

PROBLEMS = {
    "No such payment": "No payment of this order is known, or not yet: it follows the order by a moment.",
}

OrderId = Annotated[Key, Path(description="The order's id")]


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


@router.get("/payments/{order}")
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


def _refund(row: asyncpg.Record) -> RefundView:
    return RefundView(
        id=row["id"],
        amount=Amount(amount=row["amount"], currency=row["currency"]),
        reason=row["reason"],
        status=row["status"],
        requested_at=row["requested_at"],
        settled_at=row["settled_at"],
    )
