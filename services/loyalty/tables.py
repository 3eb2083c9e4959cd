"""Loyalty's tables, and the few statements that lock, read and write accounts."""

from collections.abc import Iterable

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, MetaData, Table, Text

from backbone.storage.database import Tx
from services.loyalty.decisions import Credit

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("customer_id", Text(collation="C"), primary_key=True),
    Column("points", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("points >= 0", name="accounts_points"),
)

# The history of an account in the order in which it was credited.
entries = Table(
    "entries",
    metadata,
    Column("customer_id", Text(collation="C"), primary_key=True),
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("earned_at", DateTime(timezone=True), nullable=False),
)

# A customer's orders lie in several partitions, so two replicas may open the same account. ON CONFLICT
# DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_LOCK_ALL = """
    INSERT INTO accounts AS known (customer_id) SELECT unnest($1::text[])
    ON CONFLICT (customer_id) DO UPDATE SET points = known.points WHERE false
"""
_BALANCES = "SELECT customer_id, points FROM accounts WHERE customer_id = ANY($1::text[])"
_CREDIT = """
    WITH credited AS (
        UPDATE accounts SET points = new.points
        FROM unnest($1::text[], $2::bigint[]) AS new(customer_id, points)
        WHERE accounts.customer_id = new.customer_id
    )
    INSERT INTO entries (customer_id, order_id, points, balance, earned_at)
    SELECT customer_id, order_id, points, balance, $7
    FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[]) WITH ORDINALITY
        AS earned(customer_id, order_id, points, balance, number)
    ORDER BY earned.number
"""


async def lock_balances(tx: Tx, customers: Iterable[str]) -> dict[str, int]:
    """The points of these customers, their accounts locked in sorted order, and opened where there is none."""
    names = sorted(set(customers))
    await tx.raw.execute(_LOCK_ALL, names)
    return {row["customer_id"]: row["points"] for row in await tx.raw.fetch(_BALANCES, names)}


async def save(tx: Tx, credit: Credit) -> None:
    """Write the new balances and the history that led to them."""
    earned = [each for each in credit.earned if each]
    await tx.raw.execute(
        _CREDIT,
        list(credit.balances.keys()),
        list(credit.balances.values()),
        [each.customer_id for each in earned],
        [each.order for each in earned],
        [each.points for each in earned],
        [each.balance for each in earned],
        tx.now,
    )
