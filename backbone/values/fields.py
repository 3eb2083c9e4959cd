"""Defines the kinds of text and number as fields of a body, a query or the settings."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, JsonValue, StringConstraints

from backbone.values.texts import EMAIL, LINE, LONGEST_EMAIL, LONGEST_KEY, NAME, PROSE, email_objection
from backbone.values.whole import whole


def _mailable(address: str) -> str:
    if objection := email_objection(address):
        raise ValueError(objection)
    return address


Line = Annotated[str, StringConstraints(pattern=LINE)]
Prose = Annotated[str, StringConstraints(pattern=PROSE)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=LINE)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=NAME)]
Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL, pattern=EMAIL), AfterValidator(_mailable)]
WHOLE = BeforeValidator(whole)
"""For an `int` that is strict: takes every number of JSON without a fraction, and neither text nor true."""


def given(**kinds: str) -> list[JsonValue]:
    """Say which members of a body are given, each of its JSON type: for `oneOf` or `anyOf` of a model's description."""
    return [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]
