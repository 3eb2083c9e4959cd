"""Loyalty over HTTP: what a customer has, and where it came from."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select

from backbone.http import Db, Page, Paging
from backbone.http.pages import bad_cursor
from backbone.values.fields import Key
from services.loyalty.tables import accounts, entries

router = APIRouter()

# Customers are named by whoever takes the order: slashes and spaces are fine (`path` lets slashes through).
CustomerId = Annotated[Key, Path(description="The customer's id")]


class EntryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    order: str
    points: int
    balance: int
    at: datetime


class PointsView(BaseModel):
    customer: str
    points: int
    history: list[EntryView]
    next: str | None


@router.get("/customers/{customer:path}/points", response_model=PointsView)
async def get_points(customer: CustomerId, db: Db, page: Paging) -> Any:
    """Points and their history, the newest first; somebody unknown has none."""
    async with db.reading() as connection:
        rows = (await connection.execute(_account(customer, _before(page), page.limit))).all()
    history = page.answer([row for row in rows if row.number is not None], key=lambda row: str(row.number))
    return {
        "customer": customer,
        "points": rows[0].total if rows else 0,
        "history": [EntryView.model_validate(row) for row in history["items"]],
        "next": history["next"],
    }


def _before(page: Page) -> int | None:
    if page.after is None:
        return None
    if not page.after.isdecimal() or len(page.after) > 18:
        raise bad_cursor()
    return int(page.after)


def _account(customer: str, before: int | None, limit: int) -> Select[Any]:
    """Balance and history in one statement, so that both are of the same moment; one row without an entry at least."""
    columns = (
        accounts.c.points.label("total"),
        entries.c.number,
        entries.c.order_id.label("order"),
        entries.c.points,
        entries.c.balance,
        entries.c.earned_at.label("at"),
    )
    shown = entries.c.customer_id == accounts.c.customer_id
    if before is not None:
        shown &= entries.c.number < before
    query = select(*columns).select_from(accounts.outerjoin(entries, shown)).where(accounts.c.customer_id == customer)
    return query.order_by(entries.c.number.desc()).limit(limit + 1)
