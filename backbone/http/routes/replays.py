"""Takes archived events that the service is to handle again, and tells what is applied already."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.consuming import sql
from backbone.consuming.batch_processor import Fenced
from backbone.consuming.handlers import Handlers, topics_of
from backbone.consuming.replaying import Outcome, Replaying
from backbone.consuming.settling import Settling
from backbone.events.payload import Unread
from backbone.http.bodies import takes_up_to
from backbone.http.commands import Begun
from backbone.http.context import Ctx, Db
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.http.routes.archived import ArchivedRecord
from backbone.jobs.work import Work
from backbone.running.pulse import Pulse
from backbone.storage import sql as storage

MOST = 1000
"""Events of one request."""
_BYTES = 8 * 1024 * 1024
WITHIN = 45.0
"""Seconds that a request has; what is not done by then is told of as applied when it is sent again."""
_TURN = "replays"

Attribute = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]


class Published(BaseModel):
    """An event that this service has published because of another one."""

    model_config = ConfigDict(extra="forbid")

    causationid: Attribute
    type: Attribute
    key: Attribute


class Replay(BaseModel):
    """Says which events to handle, in their order."""

    model_config = ConfigDict(extra="forbid")

    apply: Annotated[bool, Field(description="Without it nothing is changed: tells what would become of them.")] = False
    events: Annotated[list[ArchivedRecord], Field(max_length=MOST)]
    published: Annotated[
        list[Published],
        Field(max_length=100 * MOST, description="What this service has published because of them; it is not again."),
    ] = []


class Outcomes(BaseModel):
    """Tells how many events came to what."""

    applied: Annotated[int, Field(description="Missed before, and applied now (or would be).")] = 0
    known: Annotated[int, Field(description="Applied already, or given up: the inbox knows them.")] = 0
    forgotten: Annotated[int, Field(description="Older than the inbox's memory, so nobody knows; left out.")] = 0
    parked: Annotated[int, Field(description="Not to be handled: they are parked, or their keys are.")] = 0
    unread: Annotated[int, Field(description="Of types that this service does not read.")] = 0


class Counted(BaseModel):
    """The last number that the service has given to an event of a key, by the archive's account."""

    model_config = ConfigDict(extra="forbid")

    counter: Attribute
    last: Annotated[int, Field(ge=1, le=2**63 - 1)]


class Counters(BaseModel):
    """Says how far the service has counted."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[Counted], Field(max_length=MOST)]


class Replayable(BaseModel):
    """Tells what the service can be fed."""

    types: Annotated[list[str], Field(description="The types that it reads.")]
    topics: Annotated[list[str], Field(description="Topics of which it reads all types; a star stands for many.")]
    remembers_since: Annotated[datetime | None, Field(description="Null: its inbox has never forgotten anything.")]


def routes(name: str, handlers: Handlers, jobs: Mapping[str, Work[Any]]) -> APIRouter:
    """Make the routes for replays into one service."""
    router = APIRouter()
    alone = [kind for kind, work in jobs.items() if not work.repeatable]
    whole = [view for view in handlers if issubclass(view, Unread)]
    readable = {
        "types": sorted({view.TYPE for view in handlers if view not in whole}),
        "topics": topics_of({view: handlers[view] for view in whole}),
    }

    @router.get("/replays", response_model=Replayable)
    @may("operations.read")
    async def get_replayable(db: Db) -> Any:
        """Tell which events the service reads, and since when its inbox remembers what was applied."""
        rows = await sql.REMEMBERED_SINCE.fetch(db)
        return {**readable, "remembers_since": rows[0]["forgotten_before"]}

    @router.post("/replays", response_model=Outcomes)
    @takes_up_to(_BYTES)
    @may("operations.act")
    async def replay_events(body: Replay, context: Ctx, _begun: Begun) -> Any:
        """Handle archived events, in their order, as if they had just come; what is applied already is recognised.

        No place in a topic moves, and no other service hears of it. Sent again, it has no second effect.
        """
        told = [(each.causationid, each.type, each.key) for each in body.published]
        replaying = Replaying(name, handlers, context.database.for_bulk_commands, told, alone)
        batch = replaying.batch_of([each.record() for each in body.events])
        if not body.apply:
            return _shown(await replaying.look(batch))
        settling = Settling(replaying, Pulse("replay"), context.stopping, lambda _: None)
        try:
            async with asyncio.timeout(WITHIN), context.turns.of(_TURN):
                await settling.settle(batch)
        except Fenced:
            raise Problem(503, "Temporarily unavailable", "The process stops. Send it again.") from None
        return _shown(replaying.outcomes)

    @router.post("/replays/sequences")
    @takes_up_to(_BYTES)
    @may("operations.act")
    async def count_on(body: Counters, context: Ctx, _begun: Begun) -> dict[str, int]:
        """Count on from what the archive has of this service; tells for how many keys its tables had known less.

        For tables that came back from an older backup: else numbers of events would be given twice.
        """
        known = {each.counter: each.last for each in body.items}
        async with context.turns.of(_TURN):
            rows = await storage.COUNT_ON.fetch(context.database.for_bulk_commands, known=known.items())
        return {"behind": len(rows)}

    return router


def _shown(outcomes: Mapping[Outcome, int]) -> dict[str, int]:
    return {str(each): outcomes.get(each, 0) for each in Outcome}
