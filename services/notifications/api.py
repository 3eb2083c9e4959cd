"""Notifications' HTTP API: the list of mails."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from backbone.http import Db, Paging
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.notifications import store
from services.notifications.decisions import Kind

router = APIRouter(route_class=OpeningRoute)


class NotificationView(BaseModel):
    """Shows one mail.

    `recipient` is null for the shop's until it is sent; `reason` says why it failed, or was not sent at all.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: Kind
    about: str
    recipient: str | None
    subject: str
    body: str
    message_id: str
    status: Literal["queued", "sent", "failed", "ignored"]
    reason: str | None
    created_at: datetime
    sent_at: datetime | None


class NotificationPage(BaseModel):
    items: list[NotificationView]
    next: str | None


@router.get("/notifications", response_model=NotificationPage)
@may("notifications.read")
async def list_notifications(
    db: Db, page: Paging, about: Annotated[Key | None, Query(description="An order, a SKU or a cart")] = None
) -> Any:
    """Lists the mails, the newest happening first."""
    found = [NotificationView.model_validate(row) for row in await store.list_page(db, page, about)]
    return page.answer(found, key=lambda view: view.id)
