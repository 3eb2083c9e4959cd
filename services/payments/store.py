"""Payments in the database."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from backbone.events.payload import Cause
from backbone.storage.database import Tx
from services.payments.decisions import Change, Payment, Status
from services.payments.events import Money

_LOCK_ALL = """
    SELECT order_id, customer, amount, currency, status, reason, first_attempt_at
    FROM payments WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE
"""
# A payment keeps its customer, except that the end of an order not yet heard of has none: a row with another one was
# written by another replica since we looked.
_SAVE_ALL = """
    INSERT INTO payments (order_id, customer, amount, currency, status, reason, first_attempt_at, changed_at)
    SELECT new.*, $8::timestamptz
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) AS new
    ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
        first_attempt_at = excluded.first_attempt_at, changed_at = excluded.changed_at
    WHERE payments.customer = excluded.customer
"""


async def lock_all(tx: Tx, orders: Iterable[str]) -> dict[str, Payment]:
    """These orders' payments, locked in sorted order, so that two transactions never wait in a ring."""
    rows = await tx.raw.fetch(_LOCK_ALL, list(orders))
    return {row["order_id"]: _payment(**row) for row in rows}


async def locked(tx: Tx, order: str) -> Payment | None:
    """The payment of an order, locked until the transaction ends."""
    return (await lock_all(tx, [order])).get(order)


async def save_all(tx: Tx, payments: Iterable[Payment]) -> None:
    """Write payments as they are now, new or not.

    Raises SerializationError, which passes: what seemed new is not, and has to be decided again.
    """
    rows = [
        (
            each.order,
            each.customer,
            each.amount.amount,
            each.amount.currency,
            each.status,
            each.reason,
            each.first_attempt_at,
        )
        for each in payments
    ]
    if rows:
        written = await tx.raw.execute(_SAVE_ALL, *map(list, zip(*rows, strict=True)), tx.now)
        if written != f"INSERT 0 {len(rows)}":
            raise asyncpg.SerializationError("Another replica has heard of one of these orders at the same moment.")


async def save(tx: Tx, payment: Payment) -> None:
    """Write one payment."""
    await save_all(tx, [payment])


def tell(tx: Tx, change: Change, cause: Cause) -> None:
    """The events and the jobs of a decision whose row is saved in the same transaction."""
    order = change.payment.order
    for payload in change.publish:
        tx.publish(payload, key=order, cause=cause)
    if change.stop:
        tx.withdraw(change.stop, order)
    if change.start:
        tx.schedule(change.start, order, cause=cause)


def _payment(order_id: str, amount: int, currency: str, status: str, **row: Any) -> Payment:
    return Payment(order=order_id, amount=Money(amount, currency), status=Status(status), **row)
