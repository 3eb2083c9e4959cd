"""Accounts and their history in the database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, select

from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows, tuples
from services.loyalty.decisions import Credited
from services.loyalty.events import PointsGranted
from services.loyalty.tables import accounts, entries

# A customer's orders lie in several partitions, so two replicas may open the same account. ON CONFLICT
# DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_BEGIN_ALL = Statement("""
    INSERT INTO accounts AS known (customer_id) SELECT unnest(:customers::text[])
    ON CONFLICT (customer_id) DO UPDATE SET points = known.points WHERE false
""")
_BALANCES = Statement("SELECT customer_id, points FROM accounts WHERE customer_id = ANY(:customers::text[])")
_SAVE_ALL = Statement(
    """
    WITH credited AS (
        UPDATE accounts SET :balance.changes FROM :balance WHERE accounts.customer_id = balance.customer_id
    )
    INSERT INTO entries (:new.columns, earned_at) SELECT :new.*, :now FROM :new.numbered ORDER BY ordinal
    """,
    balance=tuples(accounts),
    new=rows(
        entries,
        without=("number", "earned_at"),
        order_id="order",
        case_id=lambda each: each.case if isinstance(each, PointsGranted) else None,
    ),
)


async def begin_all(tx: Tx, customers: Iterable[str]) -> dict[str, int]:
    """Return the points of these customers, locked in sorted order until the transaction ends.

    An account not yet known begins here, empty.
    """
    names = sorted(set(customers))
    await _BEGIN_ALL.execute(tx.raw, customers=names)
    return {row["customer_id"]: row["points"] for row in await _BALANCES.fetch(tx.raw, customers=names)}


async def save_all(tx: Tx, balances: Mapping[str, int], credited: Sequence[Credited]) -> None:
    """Write new balances, by customer, and the history that led to them."""
    if credited:
        await _SAVE_ALL.execute(tx.raw, balance=balances.items(), new=credited, now=tx.now)


async def list_entries(database: Database, customer: str, before: int | None, most: int) -> Sequence[Row[Any]]:
    """Return balance and history, the newest first, of the same moment.

    An account has at least one row; without an entry, when there is none.
    """
    async with database.reading() as connection:
        found: Sequence[Row[Any]] = (await connection.execute(_account(customer, before, most))).all()
        return found


def _account(customer: str, before: int | None, most: int) -> Select[Any]:
    columns = (
        accounts.c.points.label("total"),
        entries.c.number,
        entries.c.order_id.label("order"),
        entries.c.case_id.label("case"),
        entries.c.points,
        entries.c.balance,
        entries.c.earned_at.label("at"),
    )
    shown = entries.c.customer_id == accounts.c.customer_id
    if before is not None:
        shown &= entries.c.number < before
    query = select(*columns).select_from(accounts.outerjoin(entries, shown)).where(accounts.c.customer_id == customer)
    return query.order_by(entries.c.number.desc()).limit(most)
