"""Defines the kinds of text and number as fields of a body, a query or the settings."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, JsonValue, StringConstraints

from backbone.values.sealed import holds_sealed
from backbone.values.texts import EMAIL, LINE, LONGEST_EMAIL, LONGEST_KEY, NAME, PROSE, email_objection
from backbone.values.whole import whole


def _mailable(address: str) -> str:
    if objection := email_objection(address):
        raise ValueError(objection)
    return address


def _unsealed(text: str) -> str:
    """Refuse what is sealed: who got hold of another's sealed text could have it opened in an answer of their own."""
    if holds_sealed(text):
        raise ValueError("must not hold a sealed text")
    return text


def _no_number(given: object) -> object:
    if isinstance(given, int | float) or str(given).strip().lstrip("+-").replace(".", "", 1).isdecimal():
        raise ValueError("must be a day and a time, such as 2026-11-01T18:00:00Z")
    return given


def _of_the_calendar(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie within the calendar") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_of_the_calendar)]
"""A time with its zone, in UTC; a bare number is none."""
Line = Annotated[str, StringConstraints(pattern=LINE), AfterValidator(_unsealed)]
Prose = Annotated[str, StringConstraints(pattern=PROSE), AfterValidator(_unsealed)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=LINE)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=NAME)]
Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL, pattern=EMAIL), AfterValidator(_mailable)]
PAIR = Field(json_schema_extra={"items": {}})
"""For a tuple: of an array whose places are described, readers of descriptions want to know `items` as well."""
WHOLE = BeforeValidator(whole)
"""For an `int` that is strict: takes every number of JSON without a fraction, and neither text nor true."""


def given(**kinds: str) -> list[JsonValue]:
    """Say which members of a body are given, each of its JSON type: for `oneOf` or `anyOf` of a model's description."""
    return [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]
