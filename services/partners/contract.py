"""Holds what a partner sends against what it has agreed to send: a JSON Schema of 2020-12."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from backbone.errors import SlicelineError

_MOST_ERRORS = 20
# Stands for the offending value in messages.
_MASK = "the value"


class BadContract(SlicelineError):
    """The contract is no JSON Schema; the text says why."""


def check(contract: Mapping[str, Any]) -> None:
    """Raise BadContract for what is no JSON Schema, or refers to one elsewhere."""
    _validator(msgspec.json.encode(contract))


def objections(contract: Mapping[str, Any], body: bytes) -> list[tuple[str, str]]:
    """Say what in a body breaks the contract: (dotted path, message), never a value."""
    found = _validator(msgspec.json.encode(contract)).iter_errors(msgspec.json.decode(body))
    named = ((".".join(map(str, error.instance_path)), error.message) for error in found)
    return [error for error, _ in zip(named, range(_MOST_ERRORS), strict=False)]


@lru_cache(maxsize=256)
def _validator(contract: bytes) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator(
            msgspec.json.decode(contract), validate_formats=True, mask=_MASK, offline=True
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise BadContract(f"must be a JSON Schema that refers to no other: {str(error).splitlines()[0]}") from None
