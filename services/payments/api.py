"""Payments' HTTP API: how the payment of an order stands."""

from datetime import datetime
from typing import Annotated

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
    )
