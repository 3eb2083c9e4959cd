"""Serves over HTTP what has changed in the shop of late."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from backbone.http import Db
from backbone.http.context import Ctx
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.values.fields import Moment
from services.ledger import store
from services.ledger.changes import changes, types_told
from services.ledger.questions import WIRING
from services.ledger.starts import last_starts

router = APIRouter(route_class=OpeningRoute)

MOST = 200
MOST_LOOKED_AT = 1000
"""Events; most acts are those of kitchen and couriers, some twenty in one event."""
USUALLY = timedelta(minutes=15)


class ChangeView(BaseModel):
    """One change: `text` is what somebody did (`by`, with the `path` and what came of it), or what happened."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    service: str
    text: str
    event: Annotated[str | None, Field(description="The archived event that tells of it; null where none does.")]
    by: str | None
    path: str | None
    outcome: str | None


class ChangesView(BaseModel):
    """What has changed since a moment, the newest first; `is_cut`: there was more."""

    since: datetime
    items: list[ChangeView]
    is_cut: bool


@router.get("/changes", response_model=ChangesView)
@may("ledger.read")
async def list_changes(
    db: Db,
    context: Ctx,
    since: Annotated[Moment | None, Query(description="From when on; without it, a quarter of an hour back.")] = None,
) -> Any:
    """Lists what staff and operators changed and what the shop told of itself: starts, contracts, balances, endpoints.

    Buttons of kitchen and courier are no changes, nor is an order that was placed, nor what was refused. All but starts
    is told from archived events; of these services are asked, and one that does not answer is left out.
    """
    beginning = since or db.now() - USUALLY
    events = await store.find_newest_of_types(db, types_told(WIRING), beginning, MOST_LOOKED_AT)
    started = await context.client(last_starts).last()
    found = changes(events, started.what, beginning)
    is_cut = len(events) == MOST_LOOKED_AT or len(found) > MOST
    return {"since": beginning, "items": found[:MOST], "is_cut": is_cut}
