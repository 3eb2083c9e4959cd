"""Lists the events that could not be handled, tries them again or gives one up."""

from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Table, select

from backbone.consuming import discarding
from backbone.consuming import redrive as redriving
from backbone.consuming.handlers import Handlers
from backbone.http.answers import Answer
from backbone.http.commands import Command
from backbone.http.context import Ctx, Db
from backbone.http.pages import Page, Paging, number_of
from backbone.http.problems import Problem
from backbone.storage.database import Database, Tx
from backbone.storage.tables import dead_letters, discarded_letters
from backbone.values.fields import Line

# Neither headers nor value: they may carry a customer's data, and these lists are looked at by whoever is on call.
_SHOWN = ("id", "consumer", "topic", "partition", "offset", "key", "type", "error", "parked_at")
_SHOWN_OF_DISCARDED = (*_SHOWN, "discarded_at", "discarded_by", "reason")

LetterId = Annotated[int, Path(ge=0, le=2**63 - 1, description="The dead letter's id")]


class Redrive(BaseModel):
    """Says which events to try again."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[
        Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")] | None,
        Field(description="Those of one key; null: all of them."),
    ] = None


class Discard(BaseModel):
    """Says why an event is given up."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Line, StringConstraints(min_length=1, max_length=500)]


def routes(name: str, handlers: Handlers) -> APIRouter:
    """Make the routes for the dead letters of one service."""
    router = APIRouter()

    @router.get("/dead-letters")
    async def list_dead_letters(db: Db, page: Paging) -> dict[str, Any]:
        """Parked events, oldest first. Those of a key wait behind its first one, which alone has an `error`."""
        return await _listed(db, page, dead_letters, _SHOWN)

    @router.get("/dead-letters/discarded")
    async def list_discarded_letters(db: Db, page: Paging) -> dict[str, Any]:
        """List the events that were given up: by whom, when and why."""
        return await _listed(db, page, discarded_letters, _SHOWN_OF_DISCARDED)

    @router.post("/dead-letters/redrive")
    async def redrive_dead_letters(body: Redrive, context: Ctx) -> dict[str, int]:
        """Try parked events again, in order; tells how many were handled. What fails again stays parked."""
        return {"handled": await redriving.redrive(context.database, name, handlers, body.key)}

    @router.post("/dead-letters/{letter}/discard", responses={404: {}})
    async def discard_dead_letter(letter: LetterId, body: Discard, command: Command) -> Response:
        """Give up a parked event that nothing can mend. It is kept, with who and why; its key goes on in order."""
        given_up: list[asyncpg.Record] = []

        async def effect(tx: Tx) -> Answer:
            gone = await discarding.discard(tx, name, letter, by=command.actor, reason=body.reason)
            if gone is None:
                raise Problem(404, "No such dead letter", f"There is no letter {letter}: it was handled, or discarded.")
            given_up.append(gone)
            return Answer({"id": letter, "topic": gone["topic"], "key": gone["key"]})

        answer = await command.run(effect)
        for gone in given_up:  # none when this request was sent before and is only answered again
            discarding.tell(letter, gone, by=command.actor, reason=body.reason)
            await redriving.go_on(command.context.database, name, handlers, gone["key"])
        return answer

    return router


async def _listed(db: Database, page: Page, table: Table, shown: tuple[str, ...]) -> dict[str, Any]:
    query = select(*(table.c[name] for name in shown)).where(table.c.id > number_of(page.after)).order_by(table.c.id)
    async with db.reading() as connection:
        rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
    return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))
