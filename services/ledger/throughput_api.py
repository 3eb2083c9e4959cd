"""Serves over HTTP how many orders were placed and ended, step by step of time."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from backbone.context import Context
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.http.problems import invalid
from services.ledger import store
from services.ledger.questions import WIRING
from services.ledger.remembered import Last, Remembered
from services.ledger.settings import Settings
from services.ledger.throughput import STATUSES, STEPS, beginning, series
from services.ledger.wiring import types_of

router = APIRouter()

USUALLY = 15
"""Minutes."""


class SeriesView(BaseModel):
    """How many orders reached a status in each step, the first step first."""

    model_config = ConfigDict(from_attributes=True)

    status: str
    orders: list[int]


class ThroughputView(BaseModel):
    """How many orders reached each status in steps of so many seconds, the first of which begins at `since`.

    It was counted at `at`, so many seconds ago; the last step was under way then.
    """

    at: datetime
    age_seconds: float
    since: datetime
    step_seconds: int
    statuses: list[SeriesView]


@router.get("/throughput", response_model=ThroughputView)
@may("ledger.read")
async def get_throughput(
    context: Ctx,
    minutes: Annotated[
        int, Query(ge=1, le=60, description=f"How far to look back; a step takes a {STEPS}th of it.")
    ] = USUALLY,
    last: Last = False,
) -> Any:
    """Counts the orders that were placed, completed, rejected and cancelled lately, in sixty steps of time.

    An order counts once for each, however many versions of the event there are. All is counted from the archived
    events, where they are a moment after they happened. The `last` one is of a quarter of an hour.
    """
    if last:
        if minutes != USUALLY:
            raise invalid([{"field": "last", "message": "is of a quarter of an hour: ask without minutes"}])
        found, age = await context.client(last_throughput).last()
        return {**found, "age_seconds": age}
    return {**await _throughput(context, minutes), "age_seconds": 0.0}


def last_throughput(context: Context[Settings]) -> Remembered[dict[str, Any]]:
    """Make what remembers the last one: `context.client(last_throughput)` is a process's only one."""
    return Remembered(lambda: _throughput(context, USUALLY))


async def _throughput(context: Context[Settings], minutes: int) -> dict[str, Any]:
    db = context.database.for_queries
    now, step = db.now(), minutes * 60 // STEPS
    since = beginning(now, step)
    counts = await store.count_reached(db, types_of(WIRING, STATUSES.keys()), since, step)
    return {"at": now, "since": since, "step_seconds": step, "statuses": series(counts)}
