"""Contracts over HTTP: what is agreed on about each event, who reads a field of it, and whether data fits."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, JsonValue

from backbone.events import contracts
from backbone.events.contracts import UnknownContract
from backbone.http import Problem
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.ledger.contracts import known, readers, summary, whole

router = APIRouter()
Type = Annotated[Key, Path(description="The event's type, version and all.")]


class LeavingView(BaseModel):
    """Says of a version that is on its way out until when it is published, what to read instead, and how."""

    since: date
    sunset: date
    use: str
    how: str


class ContractView(BaseModel):
    """What is agreed on about one version of an event. `readers` are those that declare what they take of it."""

    type: str
    service: str
    event: str
    version: int
    description: str
    kind: str | None
    owner: str | None
    leaving: LeavingView | None
    retired: date | None
    readers: list[str]


class ContractList(BaseModel):
    """All contracts there are: a few for each service, so that no page of them is needed."""

    items: list[ContractView]


class FieldView(BaseModel):
    """Describes a field of an event's data; `lines[]` is each of a list. `readers` would notice a change of it."""

    name: str
    says: str
    meaning: str
    unit: str | None
    required: bool
    optional: str | None
    is_sealed: bool
    readers: list[str]


class SampleView(BaseModel):
    name: str
    data: Any


class WholeContract(ContractView):
    """A contract with its schema, samples that fit it, and the other versions of its event."""

    versions: list[str]
    fields: list[FieldView]
    samples: list[SampleView]
    json_schema: dict[str, Any]


class ReadersView(BaseModel):
    """Says who reads a field; `is_known` tells whether the contract has it."""

    type: str
    field: str
    is_known: bool
    readers: list[str]


class Sample(BaseModel):
    """What somebody means to say in an event."""

    model_config = ConfigDict(extra="forbid")

    data: JsonValue


class MisfitView(BaseModel):
    field: str
    message: str


class FitView(BaseModel):
    """Says whether data fits a contract, and if not, what is wrong where. No value is told."""

    fits: bool
    misfits: list[MisfitView]


@router.get("/contracts", response_model=ContractList)
@may("ledger.read")
async def list_contracts() -> dict[str, Any]:
    """Lists every version of every event: until when it is published, and who declares that they read it."""
    return {"items": [summary(each) for each in known()]}


@router.get("/contracts/{type}", response_model=WholeContract, responses={404: {}})
@may("ledger.read")
async def get_contract(type: Type) -> Any:  # noqa: A002  the attribute's name
    """Shows a contract: its fields and who reads each, its schema, samples and versions."""
    return _found(whole, type)


@router.get("/contracts/{type}/readers", response_model=ReadersView, responses={404: {}})
@may("ledger.read")
async def get_readers(
    type: Type,  # noqa: A002  the attribute's name
    field: Annotated[Key, Query(description="A field, as total.amount or lines[].item.", examples=["total.amount"])],
) -> Any:
    """Tells who would notice if a field of an event were another: whoever declares that it is read."""
    return _found(readers, type, field)


@router.post("/contracts/{type}/check", response_model=FitView, responses={404: {}})
@may("ledger.read")
async def check_sample(type: Type, body: Sample) -> dict[str, Any]:  # noqa: A002  the attribute's name
    """Holds data against a contract, as it is when an event is published and read. Nothing is sent."""
    _found(contracts.schema_of, type)
    try:
        contracts.check(type, body.data)
    except contracts.ContractBroken as broken:
        return {"fits": False, "misfits": [{"field": field, "message": said} for field, said in broken.errors]}
    return {"fits": True, "misfits": []}


def _found(find: Any, *asked: str) -> Any:
    try:
        return find(*asked)
    except UnknownContract:
        raise Problem(404, "No such contract", "GET /contracts lists those that there are.") from None
