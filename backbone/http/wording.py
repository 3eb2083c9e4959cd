"""Says in plain words what is wrong with a field, from what Pydantic says about it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backbone.values.texts import IN_WORDS

_LONGEST_NAME = 200
# What Literal says of an enum's members: <Status.ACTIVE: 'active'>.
_MEMBER = re.compile(r"<[\w.]+: ([^<>]+)>")
_PARTS = ("body", "query", "path", "header", "cookie")

# Pydantic's error types, https://docs.pydantic.dev/latest/errors/validation_errors/; what is not here keeps its text.
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "datetime_type": "must be a timestamp like 2026-01-31T18:00:00Z",
    "datetime_parsing": "must be a timestamp like 2026-01-31T18:00:00Z",
    "datetime_from_date_parsing": "must be a timestamp like 2026-01-31T18:00:00Z",
    "timezone_aware": "must name its time zone",
}


def field_name(location: Sequence[int | str]) -> str:
    """Name a field, as in `lines.0.quantity`; the whole body is `body`."""
    inside = location[1:] if len(location) > 1 and location[0] in _PARTS else location
    return ".".join(map(str, inside))[:_LONGEST_NAME]


def in_plain_words(error: Mapping[str, Any]) -> str:
    """Put one of Pydantic's errors into words that go on after the field's name."""
    context = error.get("ctx", {})
    if known := IN_WORDS.get(context.get("pattern", "")):
        return known
    if context.get("min_length") == 1:
        return "must not be empty"
    words = _WORDS.get(error["type"])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return _MEMBER.sub(r"\1", words.format(**context))
