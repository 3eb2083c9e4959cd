"""Payments in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from backbone.database import Tx
from services.payments.decisions import Change, Payment, Status
from services.payments.events import Money
from services.payments.tables import payments


async def lock_all(tx: Tx, orders: Sequence[str]) -> None:
    """Lock these orders' payments, always in the same order, so that two transactions never wait in a ring."""
    statement = select(payments.c.order_id).where(payments.c.order_id.in_(orders))
    await tx.execute(statement.order_by(payments.c.order_id).with_for_update())


async def locked(tx: Tx, order: str) -> Payment | None:
    """The payment of an order, locked until the transaction ends."""
    statement = select(payments).where(payments.c.order_id == order).with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return from_row(row) if row else None


async def save(tx: Tx, payment: Payment) -> None:
    """Write the payment as it is now, new or not."""
    values = {
        "order_id": payment.order,
        "customer": payment.customer,
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "status": payment.status.value,
        "reason": payment.reason,
        "first_attempt_at": payment.first_attempt_at,
        "changed_at": tx.now,
    }
    await tx.execute(insert(payments).values(values).on_conflict_do_update(index_elements=["order_id"], set_=values))


async def apply(tx: Tx, change: Change) -> None:
    """Make a decision real: the row, the event and the jobs, in one transaction."""
    await save(tx, change.payment)
    order = change.payment.order
    if change.publish:
        tx.publish(change.publish, key=order)
    if change.stop:
        tx.withdraw(change.stop, order)
    if change.start:
        tx.schedule(change.start, order)


def from_row(row: Row[Any]) -> Payment:
    """The payment that a row of `payments` tells of."""
    return Payment(
        order=row.order_id,
        customer=row.customer,
        amount=Money(row.amount, row.currency),
        status=Status(row.status),
        reason=row.reason,
        first_attempt_at=row.first_attempt_at,
    )
