"""Loyalty's HTTP API: the points a customer has, and where they came from."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from backbone.http import Db, Page, Paging, Problem
from backbone.http.doors import Asking
from backbone.http.pages import bad_cursor
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.loyalty import store

router = APIRouter()

PROBLEMS = {"No such customer": "Nobody of this id, or somebody else than you."}

# Customers are named by whoever takes the order: slashes and spaces are fine (`path` lets slashes through).
CustomerId = Annotated[Key, Path(description="The customer's id")]


class EntryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    order: str
    case: str | None
    points: int
    balance: int
    at: datetime


class PointsView(BaseModel):
    customer: str
    points: int
    history: list[EntryView]
    next: str | None


@router.get("/customers/{customer:path}/points", response_model=PointsView)
@may("points.read", own=True)
async def get_points(customer: CustomerId, db: Db, page: Paging, caller: Asking) -> Any:
    """Shows a customer's points and their history, the newest first; somebody unknown has none."""
    if not caller.may_touch(customer):
        raise Problem(404, "No such customer", f"Nothing is known of a customer {customer}.")
    rows = await store.list_entries(db, customer, _before(page), page.limit + 1)
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
