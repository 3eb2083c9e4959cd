"""Questions to the ledger over HTTP: where orders stand and what waits, why something has not happened, how it was."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from backbone.context import Context
from backbone.http import Db, Problem
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.values.fields import Key, Line, Moment
from backbone.values.texts import LONGEST_KEY
from services.ledger import backlogs, outlets, questions, store
from services.ledger.asking import Services, services_of
from services.ledger.backlogs import last_backlogs
from services.ledger.funnel import PROGRESS, Stuck, expected_of, funnel
from services.ledger.kept import Archived
from services.ledger.questions import WIRING, Inquiry
from services.ledger.questions_bodies import BacklogsView, FunnelView, StateView, WhyView
from services.ledger.remembered import Found, Last, Remembered
from services.ledger.settings import Settings
from services.ledger.wiring import NotKnown, types_of

router = APIRouter()

PROBLEMS = {
    "No such thing": "The archive has no event of this key by then.",
}
_DAY = timedelta(days=1)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
_LONGEST_EXPECTED = LONGEST_KEY + len("endpoint:")
_MOST_DAYS = 31
_PATIENCE = 300
_MOST_EXPLAINED = 10
"""Of so many stuck orders the services are asked why."""
Order = Annotated[Key, Query(description="The order's id")]


@router.get("/funnel", response_model=FunnelView)
@may("ledger.read")
async def get_funnel(
    context: Ctx,
    since: Annotated[
        Moment | None,
        Query(description=f"Orders placed then or later, at most {_MOST_DAYS} days ago; without it, a day."),
    ] = None,
    patience: Annotated[
        int, Query(ge=1, le=86_400, description="Seconds after which an order without progress is stuck.")
    ] = _PATIENCE,
    last: Last = False,
) -> Any:
    """Counts orders by where they stand, with the oldest in each status, and says why those that are stuck are.

    All is counted from the archived events; only about those stuck for longest are other services asked. The `last`
    one is of a day.
    """
    if last:
        if since is not None or patience != _PATIENCE:
            raise invalid([{"field": "last", "message": "is of a day: ask without since and patience"}])
        found, age = await context.client(last_funnel).last()
        return {**found, "age_seconds": age}
    return {**await _funnel(context, since, patience), "age_seconds": 0.0}


def last_funnel(context: Context[Settings]) -> Remembered[dict[str, Any]]:
    """Make what remembers the last funnel of a day: `context.client(last_funnel)` is a process's only one."""
    return Remembered(lambda: _funnel(context, None, _PATIENCE))


async def _funnel(context: Context[Settings], since: datetime | None, patience: int) -> dict[str, Any]:
    """Count orders, and ask why some are stuck. Raises Problem."""
    db = context.database.for_queries
    now = db.now()
    beginning = _sound(since) if since else now - _DAY
    if now - beginning > _MOST_DAYS * _DAY:
        message = f"must be at most {_MOST_DAYS} days ago: all orders placed since are counted for the answer"
        raise invalid([{"field": "since", "message": message}])
    groups = await store.count_orders(db, types_of(WIRING, PROGRESS), beginning, now - timedelta(seconds=patience))
    found = funnel(groups, _MOST_EXPLAINED)
    inquiry = Inquiry(db, _services(context))
    stuck = await asyncio.gather(*(_explained(db, inquiry, each) for each in found.stuck))
    return {
        "at": now,
        "since": beginning,
        "came": found.came,
        "statuses": found.levels,
        "stuck_orders": found.stuck_orders,
        "stuck": stuck,
    }


@router.get("/backlogs", response_model=BacklogsView)
@may("ledger.read")
async def get_backlogs(context: Ctx, last: Last = False) -> Any:
    """Tells what waits in every service: events parked and held behind them, jobs due, failing and given up, pauses.

    `needs` are sentences about what does not go on without a person. Each service counts up to 10,000 of a sort.
    """
    found, age = await context.client(last_backlogs).last() if last else Found(await backlogs.look(context), 0.0)
    return {
        "at": found.at,
        "age_seconds": age,
        "silent": found.silent,
        "sums": found.sums,
        "services": [{"service": name, **vars(each)} for name, each in found.services.items()],
    }


@router.get("/why", response_model=WhyView, responses={404: {}})
@may("ledger.read")
async def get_why(
    db: Db,
    context: Ctx,
    order: Order,
    expected: Annotated[
        Line,
        Query(
            max_length=_LONGEST_EXPECTED,
            description="An event (order-confirmed), a service (loyalty), mail, payment, stock or points; or what a "
            "rule or an endpoint does with it, rule:NAME or endpoint:NAME.",
        ),
    ],
) -> Any:
    """Says why something has not happened to an order: the first broken link, and the command that mends it.

    The wiring is followed back from what is expected. Of something that has happened it says when.
    """
    inquiry = Inquiry(db, _services(context))
    try:
        target = expected if outlets.is_outlet(expected) else WIRING.find(expected)
        events = await _events(db, order)
        answer = await (inquiry.why_outlet if outlets.is_outlet(target) else inquiry.why)(order, target, events)
    except NotKnown as error:
        raise invalid([{"field": "expected", "message": str(error)}]) from error
    return {
        "order": order,
        "expected": target,
        "happened": answer.happened,
        "broken": answer.broken,
        "chain": answer.chain,
    }


@router.get("/state", response_model=StateView, responses={404: {}})
@may("ledger.read")
async def get_state(
    db: Db,
    context: Ctx,
    at: Annotated[Moment | None, Query(description="The moment; without it, now.")] = None,
    order: Annotated[Key | None, Query(description="The order's id; or say a SKU.")] = None,
    sku: Annotated[Key | None, Query(description="The SKU; or say an order.")] = None,
) -> Any:
    """Says how an order or a SKU stood at a moment in every service that can tell.

    Each rebuilds it from the archived events by its own decisions.
    """
    moment = at or db.now()
    of, key = ("order", order) if order is not None else ("sku", sku)
    if key is None or (order is not None and sku is not None):
        raise invalid([{"field": "query", "message": "must name an order or a sku, and only one of them"}])
    events = await (questions.events_of(db, key) if of == "order" else questions.levels_of(db, key, _sound(moment)))
    if not any(event.time <= moment for event in events):
        raise Problem(404, "No such thing", f"No event of {of} {key} is archived that had happened by then.")
    states = await questions.states(_services(context), of, key, moment, events)
    return {"of": of, "key": key, "at": moment, "earliest": events[0].time, "services": states}


def _sound(moment: datetime) -> datetime:
    """Return a moment that a database can be asked about: there is nothing before or after."""
    return min(max(moment, _FIRST), _LAST)


async def _explained(db: Any, inquiry: Inquiry, stuck: Stuck) -> dict[str, Any]:
    events = await questions.events_of(db, stuck.order)
    answer = await inquiry.why(stuck.order, expected_of(stuck.status), events)
    return {"order": stuck.order, "status": stuck.status, "since": stuck.since, "broken": answer.broken}


async def _events(db: Any, order: str) -> list[Archived]:
    events = await questions.events_of(db, order)
    if not events:
        raise Problem(404, "No such order", f"The archive has no event of an order {order}.")
    return events


def _services(context: Context[Settings]) -> Services:
    return context.client(services_of)
