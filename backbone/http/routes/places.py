"""Moves the service back in the topics it reads, and shows places that did not fit their topics."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.consuming import reread as rereading
from backbone.http.commands import Begun
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.storage import sql

_TURN = "places"
"""They wait for the consumer, which holds its places until a batch is handled; one of them is enough to wait."""


class Reread(BaseModel):
    """Says which topics to read again."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[
        Annotated[str, StringConstraints(max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")] | None,
        Field(description="One that the service reads; null: all of them."),
    ] = None


def routes(name: str) -> APIRouter:
    """Make the routes for the places of one service."""
    router = APIRouter()

    @router.post("/reread", responses={409: {"description": "Keys are parked, or the topic is not read"}})
    @may("operations.act")
    async def read_topics_again(body: Reread, context: Ctx, _begun: Begun) -> dict[str, list[str]]:
        """Read topics from their beginning again; what was handled before has no second effect. Tells which ones."""
        try:
            async with context.turns.of(_TURN):
                topics = await rereading.reread(context.database.for_commands, name, body.topic)
        except rereading.KeysAreParked as error:
            raise Problem(409, "Keys are parked", str(error)) from error
        if not topics:
            read = body.topic or "any topic"
            raise Problem(409, "Nothing to read again", f"{name} has read nothing of {read}.")
        return {"topics": topics}

    @router.post("/log-breaks/acknowledge")
    @may("operations.act")
    async def acknowledge_log_breaks(context: Ctx, _begun: Begun) -> dict[str, int]:
        """Note that somebody has seen to the places that did not fit their topics; tells how many there were."""
        async with context.turns.of(_TURN):
            return {"acknowledged": len(await sql.LOG_BREAKS_ACKNOWLEDGE.fetch(context.database.for_commands))}

    return router
