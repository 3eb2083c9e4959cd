"""The ledger's HTTP API: the events there were."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response

from backbone.http import Db, Paging, Problem
from backbone.http.answers import JSON, to_json
from backbone.http.context import Ctx
from backbone.http.pages import bad_cursor
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import BadPattern, Pattern
from backbone.storage.database import Database
from backbone.values.fields import Key, Moment, Name
from services.ledger import archive, catalogue_api, changes_api, contracts_api, questions_api, throughput_api
from services.ledger.asking import services_of
from services.ledger.balance import api as balance
from services.ledger.bodies import EventPage, JourneyView, StepView, WholeEvent, shown, shown_whole
from services.ledger.filters import Filters, Place, read_place
from services.ledger.journey import journey, own
from services.ledger.kept import Archived
from services.ledger.listeners import accounts, is_said_to_read

router = APIRouter()
router.include_router(balance.router)
router.include_router(questions_api.router)
router.include_router(catalogue_api.router)
router.include_router(changes_api.router)
router.include_router(throughput_api.router)
router.include_router(contracts_api.router)

MOST_OF_ORDER = 1000
"""Events that are told of an order; it has some twenty."""

PROBLEMS = {
    **balance.PROBLEMS,
    **questions_api.PROBLEMS,
    "No such contract": "No service publishes an event of this name and version.",
    "No such page": "The catalogue of events has no such page.",
    "No catalogue": "Its pages were not built here: ./sliceline contracts catalogue, and every start, builds them.",
    "No such event": "No event of this id is kept: it was never heard, or its day was dropped.",
    "No such order": "No event of this order is kept: there is none, or it was long ago.",
    "Several events": "Events of several sources have this id; `source` says which one is meant.",
}


@router.get("/events", response_model=EventPage)
@may("ledger.read")
async def list_events(
    db: Db,
    page: Paging,
    type: Annotated[Key | None, Query(description="Only of this type, version and all.")] = None,  # noqa: A002
    source: Annotated[Key | None, Query(description="Only from this source: /sliceline/orders.")] = None,
    service: Annotated[Name | None, Query(description="Only from this service: orders.")] = None,
    topic: Annotated[Key | None, Query(description="Only from this topic of Kafka: orders.events.")] = None,
    id: Annotated[Key | None, Query(description="Only those of this id: one of each source that has given it.")] = None,  # noqa: A002
    subject: Annotated[Key | None, Query(description="Only of this subject.")] = None,
    key: Annotated[Key | None, Query(description="Only of this key: an order's id, a SKU.")] = None,
    correlationid: Annotated[Key | None, Query(description="Only those that one command has set off.")] = None,
    traceid: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{32}$", description="Only those of this trace, by its id in Trace Context."),
    ] = None,
    since: Annotated[Moment | None, Query(description="Only those that happened then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only those that happened before.")] = None,
    pattern: Annotated[
        str | None,
        Query(max_length=4000, description='Only those that match a pattern as rules have it: {"data": {"total": …}}.'),
    ] = None,
    text: Annotated[
        str | None, Query(max_length=200, description="Only those in whose data this text stands, large or small.")
    ] = None,
    newest_first: Annotated[bool, Query(description="The newest first, instead of the oldest.")] = False,
) -> Any:
    """Lists events that were, the oldest first or the newest.

    A question that no index answers looks at so many events at most; then `next` leads on from where it has stopped,
    even where nothing was found so far.
    """
    filters = Filters(
        id=id,
        type=type,
        source=_source(source, service),
        topic=topic,
        subject=subject,
        key=key,
        correlationid=correlationid,
        traceid=traceid,
        since=since,
        until=until,
        text=text,
        pattern=_pattern(pattern),
        newest_first=newest_first,
    )
    found = await archive.select(db, filters, _place(page.after), page.limit)
    answer = page.stopped([shown(each) for each in found.events], str(found.stopped_at) if found.stopped_at else None)
    return {**answer, "looked_at": found.looked_at}


@router.get("/events/{event}", response_model=WholeEvent, responses={404: {}, 409: {}})
@may("ledger.read")
async def get_event(
    event: Annotated[Key, Path(description="The event's id")],
    db: Db,
    source: Annotated[Key | None, Query(description="Its source, where several have given this id.")] = None,
) -> Any:
    """Shows an event, with the record that it came in byte for byte."""
    return shown_whole(await _one(db, event, source))


@router.get("/events/{event}/step", response_model=StepView, responses={404: {}, 409: {}})
@may("ledger.read")
async def get_step(
    event: Annotated[Key, Path(description="The event's id")],
    db: Db,
    context: Ctx,
    source: Annotated[Key | None, Query(description="Its source, where several have given this id.")] = None,
) -> Any:
    """Tells of an event as a step of a journey: in a sentence, with who has read it and how far each is with it."""
    found = await _one(db, event, source)
    said = await accounts(context.client(services_of), [found])
    return StepView.model_validate(journey(found.key, [found], said, is_said_to_read, is_cut=False).steps[0])


@router.get("/orders/{order}/journey", response_model=JourneyView, responses={404: {}})
@may("ledger.read")
async def get_journey(order: Annotated[Key, Path(description="The order's id")], db: Db, context: Ctx) -> Response:
    """Tells all that happened to an order, in order: how long each part took, and who has finished with it or has not.

    What listeners did they are asked at once; `unanswered` names those who did not answer. What is not known is null.
    """
    of_key = await archive.of_key(db, order, MOST_OF_ORDER)
    if not of_key:
        raise Problem(404, "No such order", f"No event of an order {order} is kept.")
    of_stories = await archive.of_stories(db, {each.correlationid for each in of_key}, MOST_OF_ORDER, but_of=order)
    events = own(order, of_key, of_stories)
    said = await accounts(context.client(services_of), events)
    is_cut = MOST_OF_ORDER in (len(of_key), len(of_stories))
    told = journey(order, events, said, is_said_to_read, is_cut=is_cut)
    # It is as the model has it. Checking thousands of parts of it would take longer than all the rest.
    return Response(to_json(told), media_type=JSON)


def _place(after: str | None) -> Place | None:
    try:
        return read_place(after) if after is not None else None
    except ValueError:
        raise bad_cursor() from None


async def _one(db: Database, event: str, source: str | None) -> Archived:
    """Return the event of an id. Raises Problem."""
    found = [each for each in await archive.with_id(db, event) if source in (None, each.source)]
    if not found:
        raise Problem(404, "No such event", f"No event {event} is kept.")
    if len(found) > 1:
        raise Problem(409, "Several events", f"Say which source: {', '.join(each.source for each in found)}.")
    return found[0]


def _source(source: str | None, service: str | None) -> str | None:
    """Return the source that is wanted. Raises Problem where a service is named as well."""
    if source is not None and service is not None:
        raise invalid([{"field": "service", "message": "is a source's: name one of the two"}])
    return source if service is None else f"/sliceline/{service}"


def _pattern(text: str | None) -> Pattern | None:
    """Read a pattern as JSON. Raises Problem."""
    if text is None:
        return None
    try:
        return parse(msgspec.json.decode(text))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid([{"field": "pattern", "message": f"must be JSON: {error}"}]) from error
    except BadPattern as error:
        place = f"pattern.{error.place}" if error.place else "pattern"
        raise invalid([{"field": place, "message": error.reason}]) from error
