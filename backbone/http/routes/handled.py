"""Tells what became of every record that the service has read: what the balance sheet is made of."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from backbone.consuming import counting
from backbone.http.context import Ctx
from backbone.http.permissions import may

router = APIRouter()


class Count(BaseModel):
    """Counts the records of one type in one partition."""

    topic: str
    partition: int
    type: str
    applied: int
    ignored: int
    repeated: int
    parked: int
    held: int
    discarded: int


class Place(BaseModel):
    """Says which records of a partition count: those from `since_offset` to before `counted_offset`, in this log.

    `next_offset` is before that while the topic is read again, and -1 when that is about to begin. `uncounted_from`: a
    replica of a release that does not count has gone on from there; counting begins anew once this release goes on.
    """

    topic: str
    partition: int
    next_offset: int
    counted_offset: int
    since_offset: int | None
    since_at: datetime | None
    uncounted_from: int | None
    log: UUID | None


class Handled(BaseModel):
    """Says how far one consumer is, and what became of what it read."""

    consumer: str
    counts: list[Count]
    places: list[Place]


class AllHandled(BaseModel):
    """Says it of each consumer."""

    consumers: list[Handled]


@router.get("/handled", response_model=AllHandled)
@may("operations.read")
async def get_handled(context: Ctx) -> dict[str, Any]:
    """Tell what became of every record the service has read, by type and partition: applied, ignored, or known before.

    An `ignored` one is of a type that nobody here listens to; a `repeated` one tells of what was handled already, be it
    another version of an event or the same delivered again; a `held` one waits behind a `parked` one of its key.
    """
    return {"consumers": await counting.look(context.database.for_queries)}
