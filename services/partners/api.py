"""Partners' HTTP API: who they are, and what they tell us."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Path, Response
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field

from backbone.events import buses
from backbone.events.buses import Bus
from backbone.events.topics import DEFAULT_BUS
from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.commands import KeylessCommand
from backbone.http.described import ACCEPTED
from backbone.http.permissions import may, open_to_all
from backbone.http.problems import invalid
from backbone.storage.database import Tx
from backbone.values.fields import Line, Name
from backbone.values.signing import new_secret
from services.partners import store
from services.partners.contract import BadContract, check, objections
from services.partners.events import EventReceived
from services.partners.signatures import Headers, Style, WrongSignature, identify, is_secret
from services.partners.store import Partner

router = APIRouter()

PROBLEMS = {
    "No such partner": "No partner has this name; PUT /partners/{name} makes one.",
    "Event too large": "With what is told around it the body would not fit into an event.",
    "Wrong signature": "The webhook was not signed by a valid secret, or not within five minutes of now.",
}
OVERLAP = timedelta(days=1)
"""So long the secret before the newest is valid as well."""
LARGEST = 48 * 1024
"""Bytes of a body: with what is told around it, it has to fit into an event."""

PartnerName = Annotated[Name, Path(description="The partner's name")]
Secret = Annotated[Line, Field(max_length=200)]


class Agreement(BaseModel):
    """Describes how a partner signs, and what it may send: a JSON Schema. Without a `secret` the one there is stays."""

    model_config = ConfigDict(extra="forbid")

    style: Style
    contract: dict[str, Any] = Field(examples=[{"type": "object", "required": ["type"]}])
    secret: Secret | None = None


class NewSecret(BaseModel):
    """Gives the next secret, where the partner has made it."""

    model_config = ConfigDict(extra="forbid")

    secret: Secret | None = None


class PartnerView(BaseModel):
    """Shows a partner. Until `old_secret_until` the secret before is valid as well."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    style: Style
    contract: dict[str, Any]
    old_secret_until: datetime | None


class WithSecret(PartnerView):
    """Shows a partner with its secret."""

    secret: str


class PartnerPage(BaseModel):
    items: list[PartnerView]
    next: str | None


class Taken(BaseModel):
    """Tells under which id something was taken, and whether it had been taken before."""

    id: str
    repeated: bool


@router.post(
    "/partners/{partner}/events",
    status_code=202,
    response_model=Taken,
    responses={**ACCEPTED, 401: {"description": "The signature is wrong"}},
)
@open_to_all("A partner is known by the signature.")
async def take_event(
    partner: PartnerName, body: Annotated[dict[str, Any], Body()], command: KeylessCommand
) -> Response:
    """Takes what a partner tells, signed, in time, as agreed and once, and publishes it on the partner's bus."""
    raw, headers = await command.request.body(), dict(command.request.headers)
    return await command.run(lambda tx: _take(tx, partner, headers, raw, body))


@router.put("/partners/{partner}", response_model=WithSecret)
@may("partners.write")
async def agree_with_partner(partner: PartnerName, body: Agreement, command: Command) -> Response:
    """Makes a partner, or changes what is agreed with it. The secret is shown only here, and when it is rotated."""
    try:
        check(body.contract)
    except BadContract as bad:
        place = f"contract.{bad.place}" if bad.place else "contract"
        raise invalid([{"field": place, "message": str(bad)}]) from None
    return await command.run(lambda tx: _agree(tx, partner, body))


@router.post("/partners/{partner}/secret", response_model=WithSecret)
@may("partners.write")
async def rotate_secret(partner: PartnerName, command: Command, body: NewSecret | None = None) -> Response:
    """Takes a new secret, or makes one; for a day the one before is valid as well."""
    return await command.run(lambda tx: _rotate(tx, partner, body.secret if body else None))


@router.get("/partners", response_model=PartnerPage)
@may("partners.read")
async def list_partners(db: Db, page: Paging) -> Any:
    """Lists the partners by name."""
    found = [PartnerView.model_validate(each) for each in await store.list_page(db, page)]
    return page.answer(found, key=lambda view: view.name)


@router.get("/partners/{partner}", response_model=PartnerView)
@may("partners.read")
async def get_partner(partner: PartnerName, db: Db) -> Any:
    """Shows a partner, without its secret."""
    found = await store.find(db, partner)
    if found is None:
        raise _unknown(partner)
    return found


@router.delete("/partners/{partner}", status_code=204)
@may("partners.write")
async def delete_partner(partner: PartnerName, command: Command) -> Response:
    """Deletes a partner: it can tell nothing more."""
    return await command.run(lambda tx: _delete(tx, partner))


async def _take(tx: Tx, name: str, headers: Headers, raw: bytes, body: dict[str, Any]) -> Answer:
    partner = await store.find(tx.raw, name)
    if partner is None:
        raise _unknown(name)
    try:
        told = identify(partner.style, headers, raw, body, partner.valid_secrets(tx.now), tx.now)
    except WrongSignature as wrong:
        raise Problem(401, "Wrong signature", str(wrong), headers={"WWW-Authenticate": partner.style}) from None
    if len(raw) > LARGEST:
        raise Problem(413, "Event too large", f"A partner's event may have {LARGEST} bytes at most.", field="body")
    if broken := objections(partner.contract, raw):
        raise invalid([{"field": path or "body", "message": message} for path, message in broken])
    is_new = await store.receive(tx, name, told)
    if is_new:
        bus = _bus_of(name)
        received = EventReceived(partner=name, bus=bus.topic(tx.service), id=told, body=msgspec.Raw(raw))
        tx.publish(received, key=name, bus=bus.name)
    return Answer(Taken(id=told, repeated=not is_new), 202)


def _bus_of(name: str) -> Bus:
    """Return the partner's own bus; the default one where its name is none that a bus can have."""
    own = f"partner.{name}"
    return buses.find(own if buses.is_known(own) else DEFAULT_BUS)


async def _agree(tx: Tx, name: str, body: Agreement) -> Answer:
    known = await store.lock(tx, name) or Partner(name=name, style=body.style, secret=new_secret(), contract={})
    if known.style is not body.style:  # the secret before was made for signing in the other style
        known = replace(known, old_secret=None, old_secret_until=None)
    partner = replace(known, style=body.style, secret=body.secret or known.secret, contract=body.contract)
    _check_secret(partner.style, partner.secret)
    await store.save(tx, partner)
    return Answer(WithSecret.model_validate(partner))


async def _rotate(tx: Tx, name: str, given: str | None) -> Answer:
    partner = await store.lock(tx, name)
    if partner is None:
        raise _unknown(name)
    secret = given or new_secret()
    _check_secret(partner.style, secret)
    until = tx.now + OVERLAP
    rotated = replace(partner, secret=secret, old_secret=partner.secret, old_secret_until=until)
    await store.save(tx, rotated)
    return Answer(WithSecret.model_validate(rotated))


async def _delete(tx: Tx, name: str) -> Answer:
    if not await store.delete(tx, name):
        raise _unknown(name)
    return Answer(None, 204)


def _check_secret(style: Style, secret: str) -> None:
    if not is_secret(style, secret):
        raise invalid(
            [{"field": "secret", "message": "must be whsec_ and at least 24 bytes in base64, or 16 characters"}]
        )


def _unknown(name: str) -> Problem:
    return Problem(404, "No such partner", f"There is no partner {name}.")
