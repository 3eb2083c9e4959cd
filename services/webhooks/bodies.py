"""What webhooks' API takes and shows."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
)

from backbone.values.fields import WHOLE, Line, Name
from services.webhooks.addresses import LONGEST_URL
from services.webhooks.endpoint import SLOWEST, Standing, Status

_URL = r"^https?://[!-~]+$"


def _address(given: Any) -> Any:
    if isinstance(given, str) and not re.match(_URL, given):
        raise ValueError("must be an address such as https://hooks.example.com/sliceline, in ASCII and without blanks")
    return given


def _not_too_slow(given: Any) -> Any:
    if isinstance(given, int | float) and given < SLOWEST:
        raise ValueError("must be at least 1/3600: one call an hour")
    return given


def _timestamp(given: Any) -> Any:
    """Refuse numbers, also in quotes: whoever sends one may mean minutes, and would get all there is."""
    if not isinstance(given, str) or not re.match(r"\d{4}-", given):
        raise ValueError("must be a timestamp like 2026-01-31T18:00:00Z")
    return given


Url = Annotated[str, StringConstraints(max_length=LONGEST_URL, pattern=_URL), BeforeValidator(_address)]
Wanted = Annotated[
    dict[str, JsonValue] | None,
    Field(
        description="Which events it gets, in the words of rules' patterns; null: only what rules send it",
        examples=[{"type": [{"prefix": "sliceline.orders."}]}],
    ),
]
YesOrNo = Annotated[bool, Field(strict=True)]
Concurrency = Annotated[int, Field(strict=True, ge=1, le=32), WHOLE]
Rate = Annotated[float, Field(ge=SLOWEST, le=1000, allow_inf_nan=False), BeforeValidator(_not_too_slow)]
AllowedFailures = Annotated[int, Field(strict=True, ge=1, le=10_000), WHOLE]


class NewEndpoint(BaseModel):
    """Describes where events go, and which."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(None, description="What to call it; an id of ours where nothing is given")
    url: Url = Field(examples=["https://hooks.example.com/sliceline"])
    pattern: Wanted = None
    description: Line | None = Field(None, max_length=200)
    ordered: YesOrNo = Field(False, description="Whether events of one key come one by one, in their order")
    concurrency: Concurrency = Field(4, description="How many calls there may be at a time")
    rate: Rate | None = Field(None, description="How many calls a second there may be; null: as many as it answers")
    allowed_failures: AllowedFailures = Field(
        100, description="When nothing got through so often in a row it is disabled; 100 is about a day"
    )


_ALWAYS = ("url", "ordered", "concurrency", "allowed_failures", "status")
"""What an endpoint always has."""


def _without_null(schema: dict[str, Any]) -> None:
    """Take null out of the description of what an endpoint always has."""
    for name in _ALWAYS:
        shown = schema["properties"][name]
        (told,) = [each for each in shown.pop("anyOf") if each.get("type") != "null"]
        shown.update(told)
        shown.pop("default", None)


class Changes(BaseModel):
    """Names what is to be otherwise; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_null)

    url: Url | None = None
    pattern: Wanted = None
    description: Line | None = Field(None, max_length=200)
    ordered: YesOrNo | None = None
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    allowed_failures: AllowedFailures | None = None
    status: Literal[Status.ACTIVE, Status.DISABLED] | None = None

    @field_validator(*_ALWAYS, mode="before")
    @classmethod
    def _not_null(cls, given: Any) -> Any:
        if given is None:
            raise ValueError("must not be null: leave it out to keep it")
        return given


class Since(BaseModel):
    """Says from when on."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[AwareDatetime, BeforeValidator(_timestamp)] = Field(examples=["2026-11-01T18:00:00Z"])

    @field_validator("since")
    @classmethod
    def _within_the_calendar(cls, given: datetime) -> datetime:
        try:
            return given.astimezone(UTC)
        except OverflowError:
            raise ValueError("must be a moment of the calendar in UTC as well") from None


class EndpointView(BaseModel):
    """Shows an endpoint. `failures` tells how often in a row nothing got through, at longer and longer intervals."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    url: str
    pattern: dict[str, Any] | None
    description: str | None
    ordered: bool
    concurrency: int
    rate: float | None
    allowed_failures: int
    status: Status
    reason: str | None
    failures: int
    rests_until: datetime | None
    old_secret_until: datetime | None
    pinged_at: datetime | None
    ping_result: str | None
    created_at: datetime


class WithSecret(EndpointView):
    """Shows an endpoint with the secret that signs its webhooks."""

    secret: str


class EndpointPage(BaseModel):
    items: list[EndpointView]
    next: str | None


class DeliveryView(BaseModel):
    """Shows how the delivery of one event stands. `due` is when a waiting one is tried next, at the earliest."""

    model_config = ConfigDict(from_attributes=True)

    event: str = Field(validation_alias="event_id")
    type: str
    key: str
    status: Standing
    due: datetime
    attempts: int
    first_attempt_at: datetime | None
    changed_at: datetime
    position: int


class AttemptView(BaseModel):
    """Shows what came of one attempt: the answer's status, or null where there was none, and what was said."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    took_ms: int
    status: int | None
    said: str


class DeliveryDocument(DeliveryView):
    """Shows a delivery with its attempts."""

    tries: list[AttemptView]


class DeliveryPage(BaseModel):
    items: list[DeliveryView]
    next: str | None
