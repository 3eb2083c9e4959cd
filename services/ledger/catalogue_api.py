"""Serves the catalogue of events, as `./sliceline contracts catalogue` has built it, and what it shows of now."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from backbone.context import Context
from backbone.events import contracts
from backbone.http import Db, Problem
from backbone.http.context import Ctx
from backbone.http.permissions import may, open_to_all
from backbone.http.routes.docs import WholeFile
from services import CATALOGUE
from services.ledger import store
from services.ledger.asking import services_of
from services.ledger.remembered import Last, Remembered
from services.ledger.settings import Settings
from services.ledger.traffic import Traffic as TrafficFound
from services.ledger.traffic import traffic

router = APIRouter()

FOLDER = contracts.SCHEMAS.parent / "docs" / "catalogue"
FIRST = "index.html"
_HEADERS = {"Cache-Control": "no-cache", "Accept-Ranges": "none"}


class Traffic(BaseModel):
    """Says what a service has read until now, by type, and how far it is behind in each topic."""

    read: dict[str, int]
    lag: dict[str, int]


class Rate(BaseModel):
    """Counts the events of a type in a topic."""

    topic: str
    type: str
    events: int
    last_at: datetime


class Rates(BaseModel):
    """Counts the events that happened since a moment, by topic and type."""

    since: datetime
    seconds: int
    items: list[Rate]


class AllTraffic(BaseModel):
    """Says it of each service; null of one that does not answer."""

    services: dict[str, Traffic | None]


@router.get("/catalogue/live", response_model=AllTraffic)
@may("ledger.read")
async def get_traffic(context: Ctx, last: Last = False) -> dict[str, Any]:
    """Tells what each service has read until now, by type, and how far it is behind: the catalogue's pages show it.

    The counts are of its tables, and so of all its replicas. Two answers give a rate.
    """
    if last:
        return {"services": (await context.client(last_traffic).last()).what}
    return {"services": await traffic(context.client(services_of))}


def last_traffic(context: Context[Settings]) -> Remembered[dict[str, TrafficFound | None]]:
    """Make what remembers the last of it: services look only every few seconds how far they are behind."""
    return Remembered(lambda: traffic(context.client(services_of)))


@router.get("/rates", response_model=Rates)
@may("ledger.read")
async def get_rates(
    db: Db, seconds: Annotated[int, Query(ge=1, le=3600, description="How far to look back.")] = 60
) -> dict[str, Any]:
    """Tells how many events of each type came lately in each topic. What has had none is not among them."""
    since = db.now() - timedelta(seconds=seconds)
    counted = await store.count_since(db, since)
    return {"since": since, "seconds": seconds, "items": [dict(each) for each in counted]}


@router.get("/catalogue/schemas/{owner}/{file}", include_in_schema=False)
@open_to_all("Contracts are for whoever listens.")
async def get_schema(owner: str, file: str) -> dict[str, Any]:
    """Serve a contract where the `dataschema` of events points, whether pages were built or not."""
    known = {contracts.id_of(each): each for each in contracts.schemas_of(owner)} if owner in CATALOGUE else {}
    event_type = known.get(f"{contracts.ORIGIN}/schemas/{owner}/{file}")
    if event_type is None:
        raise Problem(404, "No such contract", "GET /schemas of a service lists its own.")
    return contracts.schema_of(event_type)


@router.get("/catalogue", include_in_schema=False)
@open_to_all("Contracts are for whoever listens.")
async def get_catalogue() -> Response:
    """Lead to the first page, whose links are relative."""
    return RedirectResponse(f"catalogue/{FIRST}")


@router.get("/catalogue/{file:path}", include_in_schema=False)
@open_to_all("Contracts are for whoever listens.")
async def get_page(file: str) -> Response:
    """Serve a file of the catalogue."""
    path = _found(file or FIRST)
    if path is None:
        raise Problem(404, "No such page", "GET /catalogue leads to the first one.")
    return WholeFile(path, headers=_HEADERS)


def _found(file: str) -> Path | None:
    """Find a file in the folder, and nowhere else."""
    if not (FOLDER / FIRST).exists():
        raise Problem(404, "No catalogue", "Build it here: ./sliceline contracts catalogue")
    path = (FOLDER / file).resolve()
    return path if path.is_relative_to(FOLDER) and path.is_file() else None
