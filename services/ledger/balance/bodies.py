"""The shapes of what the balance sheet says, and of what it is told."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.values.fields import Key, Line

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class EntryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    type: str
    archived: int
    applied: int
    ignored: int
    parked: int
    held: int
    discarded: int
    in_flight: int
    copies: int
    missing: int
    twice: int


class DifferenceView(BaseModel):
    type: str
    topic: str
    partition: int
    missing: int
    twice: int
    candidates: list[str]


class AcceptedView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    type: str
    topic: str
    partition: int
    missing: int
    twice: int
    by: str
    accepted_at: datetime
    reason: str


class OpenView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    topic: str
    partition: int
    why: str


class SheetView(BaseModel):
    consumer: str
    balances: bool
    entries: list[EntryView]
    differences: list[DifferenceView]
    accepted: list[AcceptedView]
    open: list[OpenView]


class NotListedView(BaseModel):
    consumer: str
    why: str


class BalanceView(BaseModel):
    at: datetime
    age_seconds: float
    balances: bool
    silent: list[str]
    not_listed: list[NotListedView]
    consumers: list[SheetView]


class AcceptanceBody(BaseModel):
    """Says what is accepted: as many differences of a consumer, of all types or of one, as there are."""

    model_config = ConfigDict(extra="forbid")

    consumer: Key
    type: Annotated[Key | None, Field(description="Only of this type of event; without it, of all.")] = None
    missing: Count = 0
    twice: Count = 0
    reason: Annotated[Line, StringConstraints(min_length=1, max_length=500)]


class NowAccepted(BaseModel):
    consumer: str
    accepted: list[AcceptedView]
