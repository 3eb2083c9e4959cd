"""Events that could not be handled: what waits, and the button that tries them again."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import select

from backbone import redrive as redriving
from backbone.http.context import Ctx, Db
from backbone.http.pages import Paging, number_of
from backbone.service import Service
from backbone.tables import dead_letters

# Neither headers nor value: they may carry a customer's data, and this list is looked at by whoever is on call.
_SHOWN = [
    dead_letters.c[name]
    for name in ("id", "consumer", "topic", "partition", "offset", "key", "type", "error", "parked_at")
]


class Redrive(BaseModel):
    """Which events to try again."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[
        Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")] | None,
        Field(description="Those of one key; null: all of them."),
    ] = None


def routes(service: Service[Any]) -> APIRouter:
    """The routes for the dead letters of one service."""
    router = APIRouter()

    @router.get("/dead-letters")
    async def list_dead_letters(db: Db, page: Paging) -> dict[str, Any]:
        """Parked events, oldest first. Those of a key wait behind its first one, which alone has an `error`."""
        query = select(*_SHOWN).where(dead_letters.c.id > number_of(page.after)).order_by(dead_letters.c.id)
        async with db.reading() as connection:
            rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
        return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))

    @router.post("/dead-letters/redrive")
    async def redrive_dead_letters(body: Redrive, context: Ctx) -> dict[str, int]:
        """Try parked events again, in order; tells how many were handled. What fails again stays parked."""
        return {"handled": await redriving.redrive(context, service, body.key)}

    return router
