"""The ledger's HTTP API: the events there were."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query

from backbone.http import Db, Paging, Problem
from backbone.http.context import Ctx
from backbone.http.pages import bad_cursor
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import BadPattern, Pattern
from backbone.values.fields import Key, Moment
from services.ledger import archive, catalogue_api, contracts_api, questions_api
from services.ledger.asking import services_of
from services.ledger.balance import api as balance
from services.ledger.bodies import EventPage, JourneyView, WholeEvent, shown, shown_whole
from services.ledger.filters import Filters, Place, read_place
from services.ledger.journey import journey, own
from services.ledger.listeners import accounts, is_said_to_read

router = APIRouter()
router.include_router(balance.router)
router.include_router(questions_api.router)
router.include_router(catalogue_api.router)
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
    topic: Annotated[Key | None, Query(description="Only from this topic of Kafka: orders.events.")] = None,
    subject: Annotated[Key | None, Query(description="Only of this subject.")] = None,
    key: Annotated[Key | None, Query(description="Only of this key: an order's id, a SKU.")] = None,
    correlationid: Annotated[Key | None, Query(description="Only those that one command has set off.")] = None,
    since: Annotated[Moment | None, Query(description="Only those that happened then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only those that happened before.")] = None,
    pattern: Annotated[
        str | None,
        Query(max_length=4000, description='Only those that match a pattern as rules have it: {"data": {"total": …}}.'),
    ] = None,
    text: Annotated[
        str | None, Query(max_length=200, description="Only those in whose data this text stands, large or small.")
    ] = None,
    newest: Annotated[bool, Query(description="The newest first.")] = False,
) -> Any:
    """Lists events that were, the oldest first, or the newest.

    A question that no index answers looks at so many events at most; then `next` leads on from where it has stopped,
    even where nothing was found so far.
    """
    filters = Filters(type, source, topic, subject, key, correlationid, since, until, text, _pattern(pattern))
    found = await archive.select(db, filters, _place(page.after), page.limit, newest=newest)
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
    found = [each for each in await archive.with_id(db, event) if source in (None, each.source)]
    if not found:
        raise Problem(404, "No such event", f"No event {event} is kept.")
    if len(found) > 1:
        raise Problem(409, "Several events", f"Say which source: {', '.join(each.source for each in found)}.")
    return shown_whole(found[0])


@router.get("/orders/{order}/journey", response_model=JourneyView, responses={404: {}})
@may("ledger.read")
async def get_journey(order: Annotated[Key, Path(description="The order's id")], db: Db, context: Ctx) -> Any:
    """Tells all that happened to an order, in order: how long each part took, and who has finished with it or has not.

    What listeners did they are asked at once; `unanswered` names those who did not answer. What is not known is null.
    """
    of_key = await archive.of_key(db, order, MOST_OF_ORDER)
    if not of_key:
        raise Problem(404, "No such order", f"No event of an order {order} is kept.")
    of_stories = await archive.of_stories(db, {each.correlationid for each in of_key}, MOST_OF_ORDER)
    events = own(order, of_key, of_stories)
    said = await accounts(context.client(services_of), events)
    is_cut = MOST_OF_ORDER in (len(of_key), len(of_stories))
    return JourneyView.model_validate(journey(order, events, said, is_said_to_read, is_cut=is_cut))


def _place(after: str | None) -> Place | None:
    try:
        return read_place(after) if after is not None else None
    except ValueError:
        raise bad_cursor() from None


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
