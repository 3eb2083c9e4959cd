"""The archive over HTTP for whoever feeds it to a service again: `./sliceline replay` and `./sliceline heal`."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, StringConstraints

from backbone.http import Db, Problem
from backbone.http.pages import bad_cursor
from backbone.http.permissions import may
from backbone.values.fields import PAIR, Key, Moment
from services.ledger import records
from services.ledger.records import Place, Text, Wanted, read_place

router = APIRouter()

MOST = 1000
Names = list[Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-zA-Z0-9._*/-]+$")]] | None
Types = Annotated[Names, Query(max_length=40, description="Only of these types, version and all.")]
Topics = Annotated[Names, Query(max_length=40, description="Also whatever lies in these topics; a star is any.")]
Since = Annotated[Moment | None, Query(description="Only what happened then or later.")]
Until = Annotated[Moment | None, Query(description="Only what happened before.")]
Service = Annotated[Key, Query(description="The service that they are for.")]
ForService = Annotated[Key | None, Query(description="Also what this service published because of them.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many records at most; fewer where they are large.")]
After = Annotated[str | None, Query(max_length=1000, description="The `next` of the page before.")]


class RecordView(BaseModel):
    topic: str
    partition: int
    offset: int
    recorded_at: AwareDatetime
    key: str
    headers: list[Annotated[tuple[str, str | None], PAIR]]
    value: str


class PublishedView(BaseModel):
    causationid: str
    type: str
    key: str


class RecordsView(BaseModel):
    """Records in the order in which they came, bytes in base64, and what the service published because of them."""

    events: list[RecordView]
    published: list[PublishedView]
    count: int
    next: str | None
    last: str | None


class CountView(BaseModel):
    count: int


class IncompleteView(BaseModel):
    incomplete_keys: int


class SequenceView(BaseModel):
    counter: str
    last: int


class SequencesView(BaseModel):
    """The last number that the service has given to an event of each key."""

    items: list[SequenceView]
    next: str | None


@router.get("/records", response_model=RecordsView)
@may("ledger.read")
async def list_records(
    db: Db,
    service: ForService = None,
    types: Types = None,
    topics: Topics = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = MOST,
    after: After = None,
) -> Response:
    """List records as a service takes them at POST /replays, in the order in which they came."""
    wanted = Wanted(types or (), topics or (), since, until)
    page = await records.page(db, wanted, _place(after), limit, service)
    return Response(msgspec.json.encode(page), media_type="application/json")


@router.get("/records/before", response_model=RecordsView, responses={404: {}})
@may("ledger.read")
async def list_records_before(
    db: Db,
    event: Annotated[Key, Query(description="The event's id.")],
    source: Annotated[Key, Query(description="Its source: /sliceline/orders.")],
    limit: Annotated[int, Query(ge=1, le=100, description="How many records at most, the last ones.")] = 20,
) -> Response:
    """List the records before an event on its key, in its topic and in their order."""
    page = await records.before(db, source, event, limit)
    if page is None:
        raise Problem(404, "No such event", f"No event {event} of {source} is kept.")
    return Response(msgspec.json.encode(page), media_type="application/json")


@router.get("/records/count", response_model=CountView)
@may("ledger.read")
async def count_records(
    db: Db, types: Types = None, topics: Topics = None, since: Since = None, until: Until = None
) -> dict[str, int]:
    """Tell how many records there are."""
    return {"count": await records.count(db, Wanted(types or (), topics or (), since, until))}


@router.get("/records/incomplete", response_model=IncompleteView)
@may("ledger.read")
async def count_incomplete_keys(db: Db, topics: Topics = None) -> dict[str, int]:
    """Tell of how many keys in these topics some event is not kept: the sequence of those that are has a gap."""
    return {"incomplete_keys": await records.count_incomplete_keys(db, topics or ())}


@router.get("/sequences", response_model=SequencesView)
@may("ledger.read")
async def list_sequences(db: Db, service: Service, limit: Limit = MOST, after: After = None) -> Any:
    """List the last sequence that a service has given to an event of each key, as the service counts them."""
    rows = await records.last_numbers(db, service, _key_and_topic(after), limit)
    going_on = msgspec.json.encode([rows[-1]["key"], rows[-1]["topic"]]).decode() if len(rows) == limit else None
    return {"items": [msgspec.structs.asdict(records.last_of(row)) for row in rows], "next": going_on}


def _place(after: str | None) -> Place | None:
    try:
        return read_place(after) if after else None
    except ValueError:
        raise bad_cursor() from None


def _key_and_topic(after: str | None) -> tuple[str, str]:
    try:
        return msgspec.json.decode(after, type=tuple[Text, Text]) if after else ("", "")
    except msgspec.MsgspecError:
        raise bad_cursor() from None
