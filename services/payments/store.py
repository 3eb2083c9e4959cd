"""Payments, and the pace of calls to the provider, in the database."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import Row, select

from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.payments.decisions import Payment, Refund, Status
from services.payments.events import Money
from services.payments.tables import RECEIVED_AT, payments, refunds

_ROWS = rows(
    payments,
    without=("created_at", "changed_at", "received_at"),
    order_id="order",
    amount="amount.amount",
    currency="amount.currency",
)
_LOCK_ALL = Statement(
    "SELECT :p.columns FROM payments WHERE order_id = ANY(:orders::text[]) ORDER BY order_id FOR UPDATE",
    p=_ROWS,
)
# A payment keeps its customer, except that the end of an order not yet heard of has none: a row with another one was
# written by another replica since we looked.
_SAVE_ALL = Statement(
    """
    INSERT INTO payments (:new.columns, changed_at) SELECT :new.*, :now::timestamptz FROM :new
    ON CONFLICT (order_id) DO UPDATE SET :new.excluded, changed_at = excluded.changed_at,
        received_at = coalesce(payments.received_at, CASE 'received' WHEN payments.status THEN payments.changed_at
                                                                     WHEN excluded.status THEN excluded.changed_at END)
    WHERE payments.customer = excluded.customer
    """,
    new=_ROWS,
)
# What was received, what refunds gave back, and what the ends of orders did: each by an index of its own.
_TAKINGS = Statement(
    f"""
    SELECT currency, sum(received) AS received, sum(payments) AS payments,
           sum(refunded) AS refunded, sum(refunds) AS refunds
    FROM (
      SELECT currency, amount AS received, 1 AS payments, 0 AS refunded, 0 AS refunds FROM payments
      WHERE ({RECEIVED_AT}) >= :since AND ({RECEIVED_AT}) < :until
      UNION ALL
      SELECT currency, 0, 0, amount, 1 FROM refunds
      WHERE status = 'paid' AND settled_at >= :since AND settled_at < :until
      UNION ALL
      SELECT currency, 0, 0, amount - given_back, 1 FROM payments
      WHERE status = 'refunded' AND changed_at >= :since AND changed_at < :until AND amount > given_back
    ) AS moved GROUP BY currency ORDER BY currency
    """  # noqa: S608  our own text
)
_REFUNDS = rows(
    refunds,
    without=("requested_at", "settled_at"),
    order_id="order",
    amount="amount.amount",
    currency="amount.currency",
)
_FIND_REFUNDS = Statement("SELECT :r.* FROM refunds AS r WHERE id = ANY(:ids::text[])", r=refunds)
_LIST_REFUNDS = Statement("SELECT :r.* FROM refunds AS r WHERE order_id = :order ORDER BY id", r=refunds)
_HAS_OPEN_REFUNDS = Statement("SELECT EXISTS (SELECT FROM refunds WHERE order_id = :order AND status = 'requested')")
_SAVE_REFUNDS = Statement(
    """
    INSERT INTO refunds (:new.columns, requested_at, settled_at)
    SELECT :new.*, :now::timestamptz, CASE WHEN status <> 'requested' THEN :now::timestamptz END FROM :new
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, settled_at = excluded.settled_at
    """,
    new=_REFUNDS,
)
# Evaluated again when it had to wait for the row, so two callers never get the same slot. Neither a slot nor a pause
# need reach the disk before the next caller has the row: all payments would wait for that. After a crash of the server
# at most the slots of a moment are given out again, to others than their callers, and the provider asks again to pause.
_RESERVE_SLOT = Statement("""
    UPDATE pace SET next_at = greatest(next_at, clock_timestamp()) + :interval::interval
    FROM set_config('synchronous_commit', 'off', true)
    WHERE next_at < clock_timestamp() + :patience::interval
    RETURNING extract(epoch FROM next_at - :interval::interval - clock_timestamp())::float8
""")
_NEXT_SLOT = Statement("SELECT extract(epoch FROM next_at - clock_timestamp())::float8 FROM pace")
_IS_HELD = Statement("SELECT held_until > clock_timestamp() FROM pace")
_HOLD_OFF = Statement("""
    UPDATE pace SET next_at = greatest(next_at, clock_timestamp() + :pause::interval),
                    held_until = greatest(held_until, clock_timestamp() + :pause::interval)
    FROM set_config('synchronous_commit', 'off', true)
""")


async def lock_all(tx: Tx, orders: Iterable[str]) -> dict[str, Payment]:
    """Return the payments of these orders, locked in sorted order until the transaction ends.

    Those that do not exist are left out.
    """
    found = await _LOCK_ALL.fetch(tx.raw, orders=list(orders))
    return {row["order_id"]: _payment(**row) for row in found}


async def lock(tx: Tx, order: str) -> Payment | None:
    """Return the payment of an order, locked until the transaction ends, or None."""
    return (await lock_all(tx, [order])).get(order)


async def save_all(tx: Tx, changed: Collection[Payment]) -> None:
    """Write payments as they are now, new or not.

    Raises SerializationError, which passes: what seemed new is not, and has to be decided again.
    """
    if changed:
        await _SAVE_ALL.execute_exactly(tx.raw, len(changed), new=changed, now=tx.now)


async def save(tx: Tx, payment: Payment) -> None:
    """Write one payment."""
    await save_all(tx, [payment])


async def find_refunds(session: Session, ids: Collection[str]) -> dict[str, Refund]:
    """Return these refunds, by id. They change only while their payments are locked."""
    return {row["id"]: _refund(row) for row in await _FIND_REFUNDS.fetch(session, ids=list(ids))}


async def save_refunds(tx: Tx, changed: Collection[Refund]) -> None:
    """Write refunds as they are now, new or not; of several states of one the last. Their payments are locked."""
    if changed:
        last = {refund.id: refund for refund in changed}
        await _SAVE_REFUNDS.execute(tx.raw, new=last.values(), now=tx.now)


async def list_refunds(database: Database, order: str) -> list[asyncpg.Record]:
    """Return the refunds of an order with their times, the oldest first."""
    return await _LIST_REFUNDS.fetch(database, order=order)


async def has_open_refunds(database: Database, order: str) -> bool:
    """Tell whether some refund of an order is not settled yet."""
    [(is_open,)] = await _HAS_OPEN_REFUNDS.fetch(database, order=order)
    return bool(is_open)


async def find(database: Database, order: str) -> Row[Any] | None:
    """Return the payment of an order, with the times at which it was made and changed, or None."""
    async with database.reading() as connection:
        query = select(payments).where(payments.c.order_id == order)
        found: Row[Any] | None = (await connection.execute(query)).one_or_none()
        return found


async def add_up(database: Database, since: datetime, until: datetime) -> list[asyncpg.Record]:
    """Return what was received and refunded in a span of time, by currency, with how often."""
    return await _TAKINGS.fetch(database, since=since, until=until)


async def reserve_slot(database: Database, interval: timedelta, patience: timedelta) -> float | None:
    """Reserve the next slot and return the seconds until it.

    Returns None when it is further away than `patience`.
    """
    found = await _RESERVE_SLOT.fetch(database, interval=interval, patience=patience)
    return float(found[0][0]) if found else None


async def find_next_slot(database: Database) -> float:
    """Return the seconds until the next slot that is nobody's yet."""
    [(ahead,)] = await _NEXT_SLOT.fetch(database)
    return float(ahead)


async def is_held(database: Database) -> bool:
    """Tell whether the provider asked for a pause that is not over."""
    [(held,)] = await _IS_HELD.fetch(database)
    return bool(held)


async def hold_off(database: Database, pause: timedelta) -> None:
    """Give out no slot for the length of `pause`."""
    await _HOLD_OFF.fetch(database, pause=pause)


def _payment(order_id: str, amount: int, currency: str, status: str, **row: Any) -> Payment:
    return Payment(order=order_id, amount=Money(amount, currency), status=Status(status), **row)


def _refund(row: Any) -> Refund:
    return Refund(
        id=row["id"],
        order=row["order_id"],
        amount=Money(row["amount"], row["currency"]),
        reason=row["reason"],
        status=row["status"],
    )
