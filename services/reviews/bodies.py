"""Describes the JSON that goes in and out over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationInfo, field_validator

from backbone.sealing.sealing import Seal
from backbone.values.fields import WHOLE, Email, Key, Line, Prose, given
from services.reviews.decisions import MOST_POINTS, CaseStatus, Label, Resolution
from services.reviews.events import Customer

# What /docs offers to send.
ORDER = "0193a5c0-8e00-7a3c-9d51-0242ac120002"
ADA: dict[str, JsonValue] = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
REVIEW: dict[str, JsonValue] = {"order": ORDER, "customer": ADA, "stars": 5, "text": "Great pizza, thank you!"}
RESOLUTION: dict[str, JsonValue] = {"note": "Called her: the next one is on us.", "points": 20}

LONGEST_TEXT = 2000
LONGEST_NOTE = 1000


class Body(BaseModel):
    """Is what a client sends: nothing that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomerBody(Body):
    """Names who says it."""

    id: Key
    name: Annotated[Line, StringConstraints(max_length=200)]
    email: Email

    def customer(self, seal: Seal) -> Customer:
        """Return the same as decisions take it, sealed."""
        return Customer(self.id, seal(self.name), seal(self.email))


class NewReview(Body):
    """Holds what a customer says of an order, in stars, in words, or both."""

    model_config = ConfigDict(json_schema_extra={"anyOf": given(stars="integer", text="string"), "examples": [REVIEW]})

    order: Key
    customer: CustomerBody
    stars: Annotated[Annotated[int, Field(strict=True, ge=1, le=5), WHOLE] | None, Field()] = None
    text: Annotated[
        Annotated[Prose, StringConstraints(max_length=LONGEST_TEXT)] | None,
        Field(validate_default=True, description="Needed where there are no stars."),
    ] = None

    @field_validator("text")
    @classmethod
    def _says_anything(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and info.data.get("stars", 0) is None:
            raise ValueError("give stars, a text or both")
        return text


class ResolutionBody(Body):
    """Says how a case was resolved, and what the customer gets for the trouble, if anything."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESOLUTION]})

    note: Annotated[Prose, StringConstraints(max_length=LONGEST_NOTE)]
    points: Annotated[int, Field(strict=True, ge=0, le=MOST_POINTS), WHOLE] = 0

    def resolution(self, by: str, seal: Seal) -> Resolution:
        """Return the same as decisions take it; what the note tells of a customer is the customer's own."""
        return Resolution(seal(self.note), self.points, by)


class View(BaseModel):
    """Is what we answer."""

    model_config = ConfigDict(from_attributes=True)


class Received(View):
    """Tells that a review was received."""

    id: str
    order: str
    status: Literal["received"]
    at: datetime


class ReviewView(View):
    """Shows a review; `score` and `label` are null until it is analysed, `case` where it needs nobody."""

    id: str
    order: str
    stars: int | None
    text: str | None
    received_at: datetime
    score: float | None
    label: Label | None
    case: CaseStatus | None


class ReviewPage(BaseModel):
    """Shows some reviews, and where to go on."""

    items: list[ReviewView]
    next: str | None


class CustomerView(View):
    """Names whom to look after."""

    id: str
    name: str
    email: str


class CaseView(View):
    """Shows a case: the review it is about, and how it was resolved once it is."""

    id: str
    status: Annotated[CaseStatus, Field(validation_alias="case")]
    order: str
    customer: CustomerView
    stars: int | None
    text: str | None
    score: float
    opened_at: datetime
    note: str | None
    points: int | None
    resolved_by: str | None
    resolved_at: datetime | None


class CasePage(BaseModel):
    """Shows some cases, and where to go on."""

    items: list[CaseView]
    next: str | None
