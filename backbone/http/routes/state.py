"""Rebuilds states of the service's own from events that it is given, by its own decisions."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec.structs import asdict
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from backbone.events.payload import Event, Payload
from backbone.http.bodies import takes_up_to
from backbone.http.permissions import may
from backbone.rebuilding import Rebuilding, Unfit, rebuild
from backbone.values.fields import Line, Moment
from backbone.values.whole import all_whole

MOST_EVENTS = 2000
"""So many events are taken at once."""
_BYTES = 4 * 1024 * 1024

Text = Annotated[Line, Field(max_length=512)]


class Told(BaseModel):
    """Is an event as CloudEvents' JSON format has it; attributes that play no part here are ignored."""

    model_config = ConfigDict(extra="ignore")

    id: Text
    source: Text
    type: Text
    subject: Text | None = None
    time: Moment
    partitionkey: Text
    correlationid: Text
    causationid: Text | None = None
    occurrenceid: Text
    sequence: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    data: Any


class Asked(BaseModel):
    """Asks for the state of one thing as it was at a moment, as these events tell of it."""

    model_config = ConfigDict(extra="forbid")

    of: Annotated[Text, Field(description="What kind of thing: `order`, `sku`.")]
    key: Annotated[Text, Field(description="Its id.")]
    at: Moment
    events: Annotated[list[Told], Field(max_length=MOST_EVENTS)]


class UnfitView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    type: str
    why: str


class StateView(BaseModel):
    """Tells a state as it was, null where nothing was known. Where it cannot be `rebuilt`, `why` says so.

    `since` is when it became so; `unheard` are events that had happened and that the service had not dealt with by
    then; `unfit` are those that its decisions cannot place; `lacks` is what events alone do not tell.
    """

    model_config = ConfigDict(from_attributes=True)

    rebuilt: bool
    why: str | None = None
    state: Any = None
    since: AwareDatetime | None = None
    unheard: list[str] = []
    unfit: list[UnfitView] = []
    lacks: str = ""


def routes(name: str, rebuilds: tuple[Rebuilding, ...]) -> APIRouter:
    """Make the route that rebuilds states of one service."""
    router = APIRouter()
    kinds = {each.of: each for each in rebuilds}

    @router.post("/state", response_model=StateView)
    @takes_up_to(_BYTES)
    @may("operations.read")
    async def rebuild_state(body: Asked) -> Any:
        """Say how a thing stood at a moment, decided again from these events. Changes nothing, reads no table."""
        rebuilding = kinds.get(body.of)
        if rebuilding is None:
            why = f"{name} rebuilds no {body.of} from events, but {' and '.join(kinds) or 'nothing'}."
            return {"rebuilt": False, "why": why}
        read = [_read(each, rebuilding.views[each.type]) for each in body.events if each.type in rebuilding.views]
        rebuilt = rebuild(rebuilding, body.key, (each for each in read if isinstance(each, Event)), body.at)
        unread = [each for each in read if isinstance(each, Unfit)]
        return {"rebuilt": True, **asdict(rebuilt), "unfit": [*unread, *rebuilt.unfit], "lacks": rebuilding.lacks}

    return router


def _read(told: Told, view: type[Payload]) -> Event[Any] | Unfit:
    """Read an event as the service does; one that it would park has no part in its state."""
    try:
        data = msgspec.convert(all_whole(told.data), type=view)
    except msgspec.ValidationError as error:
        return Unfit(told.id, told.type, f"It breaks its contract: {error}")
    return Event(
        id=told.id,
        type=told.type,
        source=told.source,
        subject=told.subject or told.partitionkey,
        time=told.time,
        key=told.partitionkey,
        correlationid=told.correlationid,
        causationid=told.causationid,
        occurrenceid=told.occurrenceid,
        sequence=int(told.sequence),
        traceparent=None,
        data=data,
    )
