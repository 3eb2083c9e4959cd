"""Alerts' HTTP API: the list of alerts."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from backbone.http import Db, Paging
from backbone.http.permissions import may
from services.alerts import store
from services.alerts.events import Kind

router = APIRouter()


class Alert(BaseModel):
    """Shows one kind of alert about one SKU.

    `available` is what was there when the alert was raised or cleared.
    """

    model_config = ConfigDict(from_attributes=True)

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
@may("alerts.read")
async def list_alerts(db: Db, page: Paging, active: bool | None = None) -> Any:
    """Lists the newest alert of each SKU and kind, by SKU.

    With `active`, it lists only those that are active, or only those that are not.
    """
    found = [Alert.model_validate(each) for each in await store.list_page(db, page, active)]
    return page.answer(found, key=lambda alert: f"{alert.sku} {alert.kind}")
