"""Loyalty over HTTP: what a customer has, and where it came from."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select

from backbone.http import Db, Page, Paging
from backbone.http.pages import bad_cursor
from services.loyalty.tables import accounts, entries

router = APIRouter(tags=["loyalty"])

# Customers are named by whoever takes the order: slashes and spaces are fine (`path` lets slashes through).
CustomerId = Annotated[str, Path(min_length=1, max_length=64, description="The customer's id")]


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
    before = _before(page)
    async with db.reading() as connection:
        query = select(accounts.c.points).where(accounts.c.customer_id == customer)
        points = (await connection.execute(query)).scalar() or 0
        rows = (await connection.execute(_history(customer, before, page.limit))).all()
    history = page.answer(list(rows), key=lambda row: str(row.number))
    return {
        "customer": customer,
        "points": points,
        "history": [EntryView.model_validate(row) for row in history["items"]],
        "next": history["next"],
    }


def _before(page: Page) -> int | None:
    if page.after is None:
        return None
    if not page.after.isdecimal() or len(page.after) > 18:
        raise bad_cursor()
    return int(page.after)


def _history(customer: str, before: int | None, limit: int) -> Select[Any]:
    columns = (
        entries.c.number,
        entries.c.order_id.label("order"),
        entries.c.points,
        entries.c.balance,
        entries.c.earned_at.label("at"),
    )
    query = select(*columns).where(entries.c.customer_id == customer)
    query = query.order_by(entries.c.number.desc()).limit(limit + 1)
    return query if before is None else query.where(entries.c.number < before)
