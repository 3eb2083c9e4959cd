"""Keeps reviews and their cases in the database."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Select, select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.reviews.decisions import CaseStatus, Label, Review
from services.reviews.events import Customer
from services.reviews.tables import reviews

_NEW = rows(
    reviews,
    order_id="order",
    customer_id="customer.id",
    customer_name="customer.name",
    customer_email="customer.email",
    case_status="case",
)
_ADD = Statement(
    """
    INSERT INTO reviews (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (order_id, customer_id) DO NOTHING
    """,
    new=_NEW,
)
_SAVE_ALL = Statement(
    """
    INSERT INTO reviews (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (id) DO UPDATE SET :new.excluded
    """,
    new=_NEW,
)
_LOCK_ALL = Statement("SELECT :r.* FROM reviews AS r WHERE id = ANY(:ids::text[]) ORDER BY id FOR UPDATE", r=reviews)
_FIND = Statement("SELECT :r.* FROM reviews AS r WHERE id = :id", r=reviews)
_FIND_SAID = Statement("SELECT id FROM reviews WHERE order_id = :order AND customer_id = :customer")


async def add(tx: Tx, review: Review) -> bool:
    """Write a new review; tells whether the customer had not said anything of this order before."""
    return await _ADD.execute(tx.raw, new=[review]) == 1


async def lock_all(tx: Tx, ids: Iterable[str]) -> dict[str, Review]:
    """Return those of these reviews that exist, locked in sorted order until the transaction ends."""
    return {row["id"]: _review(**row) for row in await _LOCK_ALL.fetch(tx.raw, ids=list(ids))}


async def save_all(tx: Tx, changed: Collection[Review]) -> None:
    """Write reviews that are new or locked."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def find(session: Session, review: str) -> Review | None:
    """Return a review as it stands; None where there is none."""
    found = await _FIND.fetch(session, id=review)
    return _review(**found[0]) if found else None


async def find_said(tx: Tx, order: str, customer: str) -> str | None:
    """Return the id of what a customer has said of an order; None where that is nothing."""
    found: str | None = await _FIND_SAID.fetchval(tx.raw, order=order, customer=customer)
    return found


async def list_of_order(database: Database, page: Page, order: str, customer: str | None) -> list[Review]:
    """Return what was said of an order, the first first; by this customer, if one is given."""
    query = select(reviews).where(reviews.c.order_id == order).order_by(reviews.c.id).limit(page.limit + 1)
    if customer is not None:
        query = query.where(reviews.c.customer_id == customer)
    if page.after:
        query = query.where(reviews.c.id > page.after)
    return await _fetch(database, query)


async def list_cases(database: Database, page: Page, status: CaseStatus | None) -> list[Review]:
    """Return the reviews with cases of a page, the oldest first; with this status, if one is given."""
    c = reviews.c
    wanted = c.case_status.is_not(None) if status is None else c.case_status == status
    query = select(reviews).where(wanted).order_by(c.id).limit(page.limit + 1)
    if page.after:
        query = query.where(c.id > page.after)
    return await _fetch(database, query)


async def _fetch(database: Database, query: Select[Any]) -> list[Review]:
    async with database.reading() as connection:
        return [_review(**row) for row in (await connection.execute(query)).mappings()]


def _review(
    *,
    order_id: str,
    customer_id: str,
    customer_name: str,
    customer_email: str,
    label: str | None,
    case_status: str | None,
    **known: Any,
) -> Review:
    return Review(
        order=order_id,
        customer=Customer(customer_id, customer_name, customer_email),
        label=Label(label) if label else None,
        case=CaseStatus(case_status) if case_status else None,
        **known,
    )
