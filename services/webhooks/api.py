"""Webhooks' HTTP API: endpoints, and what they were sent."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response

from backbone.decision import Decision
from backbone.events.attributes import check_names
from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.context import Ctx
from backbone.http.described import ACCEPTED
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.ids import new_id
from backbone.patterns.parsing import parse_given
from backbone.patterns.pattern import BadPattern
from backbone.storage.database import Database, Tx
from backbone.values.fields import Key
from backbone.values.signing import new_secret
from services.webhooks import decisions, store
from services.webhooks.addresses import Refused, Rules
from services.webhooks.bodies import (
    Changes,
    DeliveryDocument,
    DeliveryPage,
    DeliveryView,
    EndpointPage,
    EndpointView,
    NewEndpoint,
    Since,
    WithSecret,
)
from services.webhooks.endpoint import Endpoint, Recovery, Standing, Status
from services.webhooks.jobs import RECOVER
from services.webhooks.planning import apply

router = APIRouter()

PROBLEMS = {
    "Name taken": "Another endpoint has this name; choose another one, or change that.",
    "No such endpoint": "No endpoint has this id; it is the one that creating it answered.",
    "No such delivery": "The endpoint was never owed this event, or it was forgotten by now.",
    "Disabled": "A disabled endpoint is sent nothing again; enabled, and proven, it is.",
    "Not parked": "Only a delivery that was given up is redriven or discarded; `detail` says where it stands.",
}
MOST_ATTEMPTS = 200

EndpointId = Annotated[Key, Path(description="The endpoint's id")]
EventId = Annotated[Key, Path(description="The event's id, which is its webhook-id as well")]


@router.post("/endpoints", status_code=201, response_model=WithSecret, responses={409: {}})
@may("webhooks.write")
async def create_endpoint(body: NewEndpoint, command: Command, context: Ctx) -> Response:
    """Creates an endpoint, and pings it: it gets events once it has answered with the challenge.

    The secret with which its webhooks are signed is shown only here, and when it is rotated.
    """
    _check_address(context.settings.rules, body.url)
    _check_pattern(body.pattern)
    return await command.run(lambda tx: _create(tx, body))


@router.get("/endpoints", response_model=EndpointPage)
@may("webhooks.read")
async def list_endpoints(db: Db, page: Paging) -> Any:
    """Lists the endpoints, the oldest first."""
    found = [EndpointView.model_validate(each) for each in await store.list_page(db, page)]
    return page.answer(found, key=lambda view: view.id)


@router.get("/endpoints/{endpoint}", response_model=EndpointView)
@may("webhooks.read")
async def get_endpoint(endpoint: EndpointId, db: Db) -> Any:
    """Shows an endpoint: whether it gets events, and if not, why."""
    return await _found(db, endpoint)


@router.patch("/endpoints/{endpoint}", response_model=EndpointView)
@may("webhooks.write")
async def change_endpoint(endpoint: EndpointId, body: Changes, command: Command, context: Ctx) -> Response:
    """Changes an endpoint; what is left out stays.

    One with a new address, or enabled again, is pinged, and has to prove itself before it gets events. What happens
    until then waits for it; what happened while it was disabled does not.
    """
    if body.url is not None:
        _check_address(context.settings.rules, body.url)
    _check_pattern(body.pattern)
    changes = body.model_dump(exclude_unset=True)
    return await command.run(_on(endpoint, lambda found, _: decisions.changed(found, changes, command.actor)))


@router.delete("/endpoints/{endpoint}", status_code=204)
@may("webhooks.write")
async def delete_endpoint(endpoint: EndpointId, command: Command) -> Response:
    """Deletes an endpoint with all that it is owed."""
    return await command.run(lambda tx: _delete(tx, endpoint))


@router.post("/endpoints/{endpoint}/ping", status_code=202, response_model=EndpointView, responses=ACCEPTED)
@may("webhooks.write")
async def ping_endpoint(endpoint: EndpointId, command: Command) -> Response:
    """Sends the endpoint a challenge. What came of it is shown at the endpoint."""
    return await command.run(_on(endpoint, lambda found, _: decisions.asked_to_prove(found), status=202))


@router.post("/endpoints/{endpoint}/secret", response_model=WithSecret)
@may("webhooks.write")
async def rotate_secret(endpoint: EndpointId, command: Command) -> Response:
    """Makes a new secret; for a day the one before signs as well."""

    def rotate(found: Endpoint, tx: Tx) -> Decision[Endpoint]:
        return decisions.rotated(found, new_secret(), tx.now)

    return await command.run(_on(endpoint, rotate, view=WithSecret))


@router.post(
    "/endpoints/{endpoint}/recover", status_code=202, response_model=EndpointView, responses={**ACCEPTED, 409: {}}
)
@may("webhooks.write")
async def recover_events(endpoint: EndpointId, body: Since, command: Command) -> Response:
    """Sends everything since a time again, what was delivered as well, under the same webhook-ids."""
    return await command.run(lambda tx: _recover(tx, endpoint, body, even_delivered=True))


@router.post(
    "/endpoints/{endpoint}/replay-missing",
    status_code=202,
    response_model=EndpointView,
    responses={**ACCEPTED, 409: {}},
)
@may("webhooks.write")
async def replay_missing(endpoint: EndpointId, body: Since, command: Command) -> Response:
    """Sends what the endpoint has missed since a time: what was given up, and what it was never owed."""
    return await command.run(lambda tx: _recover(tx, endpoint, body, even_delivered=False))


@router.get("/endpoints/{endpoint}/deliveries", response_model=DeliveryPage)
@may("webhooks.read")
async def list_deliveries(
    endpoint: EndpointId,
    db: Db,
    page: Paging,
    status: Annotated[Standing | None, Query(description="Only deliveries that stand there.")] = None,
) -> Any:
    """Lists what the endpoint is or was owed, the newest event first."""
    await _found(db, endpoint)
    rows = await store.list_deliveries(db, endpoint, page, [status] if status else [])
    return page.answer([DeliveryView.model_validate(each) for each in rows], key=lambda view: str(view.position))


@router.get("/endpoints/{endpoint}/deliveries/{event}", response_model=DeliveryDocument)
@may("webhooks.read")
async def get_delivery(endpoint: EndpointId, event: EventId, db: Db) -> Any:
    """Shows a delivery with its attempts and what was answered, the newest first."""
    row = await store.find_delivery(db, endpoint, event)
    if row is None:
        raise _unknown_delivery(event)
    tries = await store.list_attempts(db, endpoint, row.position, MOST_ATTEMPTS)
    return {**row._mapping, "tries": tries}


@router.post("/endpoints/{endpoint}/deliveries/{event}/redrive", status_code=202, response_model=DeliveryView)
@may("webhooks.write")
async def redrive_delivery(endpoint: EndpointId, event: EventId, command: Command) -> Response:
    """Sends an event that was given up anew; where order matters, those that waited behind it follow."""
    return await command.run(lambda tx: _stand_anew(tx, endpoint, event, Standing.WAITING))


@router.post("/endpoints/{endpoint}/deliveries/{event}/discard", status_code=202, response_model=DeliveryView)
@may("webhooks.write")
async def discard_delivery(endpoint: EndpointId, event: EventId, command: Command) -> Response:
    """Gives an event up for good; where order matters, those that waited behind it are sent."""
    return await command.run(lambda tx: _stand_anew(tx, endpoint, event, Standing.DISCARDED))


def _check_address(rules: Rules, url: str) -> None:
    """Refuse an address that can be seen to lead where none may; where its name leads is seen at each call."""
    try:
        rules.read(url)
    except Refused as refused:
        raise invalid([{"field": "url", "message": str(refused)}]) from None


def _check_pattern(pattern: object) -> None:
    try:
        if pattern is not None:
            check_names(parse_given(pattern))
    except BadPattern as bad:
        place = f"pattern.{bad.place}" if bad.place else "pattern"
        raise invalid([{"field": place, "message": bad.reason}]) from None


async def _create(tx: Tx, body: NewEndpoint) -> Answer:
    wanted = body.model_dump(exclude={"name"})
    endpoint = Endpoint(id=body.name or new_id(), secret=new_secret(), created_at=tx.now, **wanted)
    if not await store.add(tx, endpoint):
        raise Problem(409, "Name taken", f"There is an endpoint {endpoint.id} already.", field="name")
    await apply(tx, {endpoint.id: decisions.asked_to_prove(endpoint)})
    return Answer(WithSecret.model_validate(endpoint), 201, {"Location": f"/endpoints/{endpoint.id}"})


def _on(
    name: str,
    decide: Callable[[Endpoint, Tx], Decision[Endpoint]],
    *,
    view: type[EndpointView] = EndpointView,
    status: int = 200,
) -> Callable[[Tx], Awaitable[Answer]]:
    """Make the effect of a command on one endpoint."""

    async def effect(tx: Tx) -> Answer:
        decision = decide(await _locked(tx, name), tx)
        await apply(tx, {name: decision})
        return Answer(view.model_validate(decision.state), status)

    return effect


async def _delete(tx: Tx, name: str) -> Answer:
    await _locked(tx, name)
    await store.delete(tx, name)
    for kind in (decisions.DELIVER, decisions.PING):
        tx.withdraw(kind, name)
    return Answer(None, 204)


async def _recover(tx: Tx, name: str, body: Since, *, even_delivered: bool) -> Answer:
    endpoint = await _locked(tx, name)
    if endpoint.status is Status.DISABLED:
        raise Problem(
            409, "Disabled", f"The endpoint gets nothing while it is disabled: {endpoint.reason} Enable it first."
        )
    if body.since > tx.now:
        raise invalid([{"field": "since", "message": "must not lie in the future"}])
    recovery = Recovery(endpoint=name, since=body.since, until=tx.now, even_delivered=even_delivered)
    tx.schedule(RECOVER, new_id(), msgspec.to_builtins(recovery))
    return Answer(EndpointView.model_validate(endpoint), 202)


async def _stand_anew(tx: Tx, name: str, event: str, standing: Standing) -> Answer:
    endpoint = await _locked(tx, name)
    delivery = await store.lock_delivery(tx, name, event)
    if delivery is None:
        raise _unknown_delivery(event)
    if delivery["status"] != Standing.PARKED:
        raise Problem(409, "Not parked", f"The delivery is {delivery['status']}.")
    changed = await store.stand_anew(tx, name, delivery["position"], standing)
    await apply(tx, {name: decisions.owed(endpoint, tx.now)})
    return Answer(DeliveryView.model_validate({**delivery, **changed}), 202)


async def _locked(tx: Tx, name: str) -> Endpoint:
    endpoint = await store.lock(tx, name)
    if endpoint is None:
        raise _unknown(name)
    return endpoint


async def _found(db: Database, name: str) -> Endpoint:
    endpoint = await store.find(db, name)
    if endpoint is None:
        raise _unknown(name)
    return endpoint


def _unknown(name: str) -> Problem:
    return Problem(404, "No such endpoint", f"There is no endpoint {name}.")


def _unknown_delivery(event: str) -> Problem:
    return Problem(404, "No such delivery", f"The endpoint is not owed an event {event}.")
