"""The alerts over HTTP."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Select, select, tuple_

from backbone.http import Db, Paging
from services.alerts.events import Kind
from services.alerts.tables import alerts

router = APIRouter()


class Alert(BaseModel):
    """One kind of alert about one SKU; `available` is what was there when it was raised or cleared."""

    sku: str
    kind: Kind
    active: bool
    available: int
    threshold: int
    ceiling: int
    channel: str
    raised_at: datetime
    cleared_at: datetime | None


class AlertPage(BaseModel):
    items: list[Alert]
    next: str | None


@router.get("/alerts", response_model=AlertPage)
async def list_alerts(db: Db, page: Paging, active: bool | None = None) -> Any:
    """The newest alert of each SKU and kind, by SKU; with `active`, only those that are, or are not."""
    query: Select[Any] = select(alerts).order_by(alerts.c.sku, alerts.c.kind).limit(page.limit + 1)
    if active is not None:
        query = query.where(alerts.c.active if active else ~alerts.c.active)
    if page.after is not None:
        sku, _, kind = page.after.partition(" ")
        query = query.where(tuple_(alerts.c.sku, alerts.c.kind) > tuple_(sku, kind))
    async with db.reading() as connection:
        found = (await connection.execute(query)).mappings().all()
    return page.answer([Alert(**row) for row in found], key=lambda alert: f"{alert.sku} {alert.kind}")
