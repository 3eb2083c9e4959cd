"""Lists the events that Kafka refused, publishes them again or gives one up."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from backbone.http.answers import Answer
from backbone.http.commands import Begun, Command
from backbone.http.context import Ctx, Db
from backbone.http.pages import Paging, number_of
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.http.routes.dead_letters import OfKey, Redrive
from backbone.publishing import refused
from backbone.publishing.refused import Discarded
from backbone.storage.database import Tx
from backbone.storage.tables import refused_events
from backbone.values.fields import Line

# Not the data: it may be a customer's, and this list is looked at by whoever is on call.
_SHOWN = [
    refused_events.c[name]
    for name in ("position", "id", "type", "aggregateid", "sequence", "time", "error", "refused_at")
]
_TURN = "refused events"
"""They wait for the relay, which holds its lock while it publishes; one of them is enough to wait."""
EventId = Annotated[Line, Path(max_length=512, description="The event's id")]


class Discarding(BaseModel):
    """Says why an event is given up."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Line, Field(max_length=500)]


router = APIRouter()


@router.get("/refused-events")
@may("operations.read")
async def list_refused_events(db: Db, page: Paging, key: OfKey = None) -> dict[str, Any]:
    """List the events that Kafka refused, oldest first. Those without an `error` wait behind one of their key."""
    query = select(*_SHOWN).where(refused_events.c.position > number_of(page.after)).order_by(refused_events.c.position)
    if key is not None:
        query = query.where(refused_events.c.aggregateid == key)
    async with db.reading() as connection:
        rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
    return page.answer([_shown(row) for row in rows], key=lambda row: str(row["position"]))


@router.post("/refused-events/retry")
@may("operations.act")
async def retry_refused_events(body: Redrive, context: Ctx, _begun: Begun) -> dict[str, int]:
    """Publish them again, in their order, once the reason is gone; tells how many. What is refused again stays."""
    async with context.turns.of(_TURN):
        return {"retried": await refused.retry(context.database.for_commands, body.key)}


@router.post("/refused-events/{event}/discard", response_model=dict[str, int], responses={404: {}})
@may("operations.act")
async def discard_refused_event(event: EventId, body: Discarding, command: Command) -> Response:
    """Give one up for good, so that those behind it go on; tells how many do. Its readers miss one `sequence`."""
    given_up: list[Discarded] = []

    async def effect(tx: Tx) -> Answer:
        gone = await refused.discard(tx, event)
        if gone is None:
            raise Problem(404, "No such refused event", f"Event {event} is not refused: it went out, or waits.")
        given_up.append(gone)
        return Answer({"released": gone.released})

    answer = await command.run(effect, turn=_TURN)
    for gone in given_up:  # none when this request was sent before and is only answered again
        refused.tell(command.context.database, gone, actor=command.actor, reason=body.reason)
    return answer


def _shown(row: Any) -> dict[str, Any]:
    return {"key" if name == "aggregateid" else name: value for name, value in row.items()}
