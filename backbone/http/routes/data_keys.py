"""Tells the data keys that a service keeps: to those who read what it sealed, and to whoever asks about a person."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from backbone.http.answers import JSON, Answer, to_json
from backbone.http.commands import Begun, Command
from backbone.http.context import Ctx, Db
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.sealing import rewrapping, store
from backbone.sealing.rewrapping import OtherMasterKey
from backbone.sealing.sealing import AT_ONCE, Stored, StoredKeys
from backbone.storage.database import Tx
from backbone.values.fields import Key
from backbone.values.sealed import BASE64URL, SERVICE

router = APIRouter()

KeyName = Annotated[str, StringConstraints(pattern=rf"^{SERVICE}\.{BASE64URL}{{22}}$")]


class WrappedKey(BaseModel):
    """Holds a data key, wrapped with the master key, in base64; null once it was destroyed."""

    name: str
    wrapped: str | None


class WrappedKeys(BaseModel):
    """Lists those that are known; what was sealed with one that is not cannot be opened."""

    items: list[WrappedKey]


class KeyOfPerson(BaseModel):
    """Tells of a data key of somebody, and since when nothing that was sealed with it can be read."""

    name: str
    made_at: datetime
    forgotten_at: datetime | None


class KeysOfPerson(BaseModel):
    """Lists the data keys that were ever made for somebody, the oldest first."""

    items: list[KeyOfPerson]


class Forgetting(BaseModel):
    """Names who is to be forgotten here."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"person": "ada"}]})

    person: Key


class Forgotten(BaseModel):
    """Tells how many data keys were destroyed."""

    destroyed: int


class Rewrapping(BaseModel):
    """Names the master key that data keys shall be wrapped with, and after which of them to go on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"under": "9f2d6a0c417be835"}]})

    under: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    after: KeyName | None = None


class Rewrapped(BaseModel):
    """Tells how many of these keys were wrapped anew, and how many are wrapped with a master key that is not known.

    `next` is what to go on after; null once all were looked at.
    """

    rewrapped: int
    foreign: int
    next: str | None


@router.get("/data-keys", response_model=WrappedKeys)
@may("keys.read")
async def get_data_keys(
    context: Ctx, name: Annotated[list[KeyName], Query(max_length=AT_ONCE, description="What they are called.")]
) -> Response:
    """Tell data keys by their names, each wrapped: who has no master key cannot use them."""
    found = await store.find(context.database.for_queries, name)
    return Response(to_json(StoredKeys([Stored(*each) for each in found.items()])), media_type=JSON)


@router.get("/data-keys/of", response_model=KeysOfPerson)
@may("operations.read")
async def get_keys_of_person(db: Db, person: Annotated[Key, Query(description="A customer's id.")]) -> dict[str, Any]:
    """Tell whether something is sealed for somebody here, and whether it was forgotten. The keys are not told."""
    return {"items": await store.list_of(db, person)}


@router.post("/data-keys/forget", response_model=Forgotten)
@may("customers.forget")
async def forget_data_keys(body: Forgetting, command: Command) -> Response:
    """Destroy the data keys of somebody here: what was sealed with them, the log of acts too, is never read again.

    Of customers an event tells everybody who keeps more of theirs: POST /customers/{customer}/forget of orders.
    """

    async def effect(tx: Tx) -> Answer:
        return Answer({"destroyed": await store.forget(tx, {body.person: tx.now})})

    answer = await command.run(effect, turn=f"person {body.person}")
    command.context.sealing.drop()
    return answer


@router.post("/data-keys/rewrap", response_model=Rewrapped, responses={409: {}})
@may("keys.rewrap")
async def rewrap_data_keys(body: Rewrapping, context: Ctx, _begun: Begun) -> Any:
    """Wrap the next data keys anew with the first of our master keys, and no new one with another from then on.

    Repeated, it changes nothing. A 409 says that another master key comes first here.
    """
    try:
        done = await rewrapping.rewrap(context.database, context.sealing.masters, body.under, body.after or "")
    except OtherMasterKey as other:
        raise Problem(409, "Other master key", str(other), headers={"Retry-After": "1"}) from None
    return msgspec.to_builtins(done)
