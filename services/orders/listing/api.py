"""Serves lists of orders over HTTP, and how many there are."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from backbone.http import Db, Paging
from backbone.http.context import Ctx
from backbone.http.doors import Asking, confine
from backbone.http.opening import OpeningRoute
from backbone.http.pages import bad_cursor
from backbone.http.permissions import may
from backbone.values.fields import Key, Moment
from services.orders.bodies import OrderCount, OrderPage
from services.orders.expecting import limits
from services.orders.listing import store
from services.orders.listing.store import MOST, Filters, Place
from services.orders.order import Status
from services.orders.showing import Listed, listed

router = APIRouter(route_class=OpeningRoute)

Stuck = Annotated[
    bool, Query(description="Only orders that stand where they stand for longer than expected, the longest first.")
]


async def _filters(
    caller: Asking,
    status: Annotated[Status | None, Query(description="Only orders that stand there.")] = None,
    customer: Annotated[Key | None, Query(description="Only orders of this customer.")] = None,
    since: Annotated[Moment | None, Query(description="Only orders placed then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only orders placed before.")] = None,
    newer_than: Annotated[Key | None, Query(description="Only orders newer than the one of this id.")] = None,
) -> Filters:
    confine(caller, customer)
    return Filters(status, customer or caller.only, since, until, newer_than)


Filtering = Annotated[Filters, Depends(_filters)]


@router.get("/orders", response_model=OrderPage)
@may("orders.read", own=True)
async def list_orders(db: Db, context: Ctx, page: Paging, filters: Filtering, stuck: Stuck = False) -> Any:
    """Lists the orders, the newest first, or those that are stuck; a customer's own ones alone to a customer."""
    usual = context.settings.usual
    if stuck:
        place = _place(page.after) if page.after is not None else None
        found = await store.list_late(db, filters, limits(usual), place, page.limit + 1)
    else:
        found = await store.list_newest(db, filters, page.after, page.limit + 1)
    return page.answer([listed(each, usual) for each in found], key=_standing if stuck else _id)


@router.get("/orders/count", response_model=OrderCount)
@may("orders.read", own=True)
async def count_orders(db: Db, context: Ctx, filters: Filtering, stuck: Stuck = False) -> Any:
    """Counts the orders of a list, up to a bound; with `newer_than` those that have come since it was shown."""
    if stuck:
        found = await store.count_late(db, filters, limits(context.settings.usual))
    else:
        found = await store.count(db, filters)
    return OrderCount(count=min(found, MOST), exact=found <= MOST)


def _id(order: Listed) -> str:
    return order.id


def _standing(order: Listed) -> str:
    return f"{order.since.isoformat()} {order.id}"


def _place(after: str) -> Place:
    """Read a place as `_standing` has written it. Raises Problem."""
    since, _, order = after.partition(" ")
    try:
        return datetime.fromisoformat(since).astimezone(UTC), order
    except (ValueError, OverflowError):
        raise bad_cursor() from None
