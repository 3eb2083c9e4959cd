"""Lists what staff and operators did and who was refused, in the chain that shows what was changed of it."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel

from backbone.http.context import Ctx, Db
from backbone.http.permissions import may
from backbone.storage import audit

router = APIRouter()

MOST = 500
_LAST = 2**63 - 1


class Recorded(BaseModel):
    """Is a row: `hash` is the SHA-256 of `previous`, `number` and `entry`, a line each.

    `entry` is JSON as it was hashed, with who acted sealed; `actor` is the same in clear, or "(forgotten)".
    """

    number: int
    entry: str
    previous: str
    hash: str
    actor: str


class RecordedActs(BaseModel):
    """Lists rows by their number. `last` is the last number that there is, `waiting` how many acts have none yet."""

    items: list[Recorded]
    last: int
    waiting: int


@router.get("/audit", response_model=RecordedActs)
@may("operations.read")
async def list_audit(
    db: Db,
    context: Ctx,
    after: Annotated[int, Query(ge=0, le=_LAST, description="The number after which to begin.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many rows.")] = 100,
) -> dict[str, Any]:
    """List the log of acts: each row vouches for all before it, and an event has told of it.

    `./sliceline audit verify` goes over all of them.
    """
    end = await audit.end_of(db)
    rows = await audit.list_page(db, after, limit)
    sealed = orjson.dumps([orjson.loads(row["entry"]).get("actor", "") for row in rows])
    actors = orjson.loads(await context.sealing.opened_json(sealed))
    return {"items": [{**row, "actor": actor} for row, actor in zip(rows, actors, strict=True)], **end}
