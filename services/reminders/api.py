"""The HTTP API of reminders: whether a customer will be reminded of a cart, and when."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from backbone.http import Db, Problem
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.reminders import store

router = APIRouter()

PROBLEMS = {
    "No such reminder": "Nothing was ever heard of a cart of this id, or not yet: it follows the cart by a moment.",
}

CartId = Annotated[Key, Path(description="The cart's id")]


class ReminderView(BaseModel):
    """Shows how one cart stands: `due_at` while its customer waits, `reminded_at` once that is over."""

    cart: str
    version: int
    status: Literal["waiting", "reminded", "none"]
    due_at: datetime | None
    reminded_at: datetime | None


@router.get("/reminders/{cart}")
@may("reminders.read")
async def get_reminder(cart: CartId, db: Db, context: Ctx) -> ReminderView:
    """Whether the customer will be reminded of a cart; not of one that is empty or whose customer nobody knows."""
    known = await store.find(db, cart)
    if known is None:
        raise Problem(404, "No such reminder", f"Nothing is known of a cart {cart}.")
    due_at = known.due(context.settings.remind_after)
    return ReminderView(
        cart=cart,
        version=known.version,
        status="reminded" if known.reminded_at else "waiting" if due_at else "none",
        due_at=due_at,
        reminded_at=known.reminded_at,
    )
