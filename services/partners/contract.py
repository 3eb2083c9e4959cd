"""Holds what a partner sends against what it has agreed to send: a JSON Schema of 2020-12."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec
from jsonschema_rs import ValidationError, ValidationErrorKind

from backbone.errors import SlicelineError

_MOST_ERRORS = 20
# Stands for the offending value in messages.
_MASK = "the value"


class BadContract(SlicelineError):
    """The contract is no JSON Schema. `place` says where: `properties.van.type`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def check(contract: Mapping[str, Any]) -> None:
    """Raise BadContract for what is no JSON Schema, or refers to one elsewhere."""
    _validator(msgspec.json.encode(contract))


def objections(contract: Mapping[str, Any], body: bytes) -> list[tuple[str, str]]:
    """Say what in a body breaks the contract: (dotted path, message), never a value."""
    found = _validator(msgspec.json.encode(contract)).iter_errors(msgspec.json.decode(body))
    return [_objection(error) for error, _ in zip(found, range(_MOST_ERRORS), strict=False)]


def _objection(error: ValidationError) -> tuple[str, str]:
    """Name the field that is wrong; one that is missing by itself, not by the object in which it is to be."""
    if isinstance(error.kind, ValidationErrorKind.Required):
        return _dotted([*error.instance_path, error.kind.property]), "is required"
    return _dotted(error.instance_path), error.message


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))


@lru_cache(maxsize=256)
def _validator(contract: bytes) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator(
            msgspec.json.decode(contract), validate_formats=True, mask=_MASK, offline=True
        )
    except ValidationError as error:
        what = (
            "refers to a schema that is not here"
            if isinstance(error.kind, ValidationErrorKind.Referencing)
            else "is no JSON Schema"
        )
        raise BadContract(_dotted(error.instance_path), f"{what}: {error.message}") from None
    except jsonschema_rs.ReferencingError as error:
        raise BadContract("", f"refers to a schema that is not here: {str(error).splitlines()[0]}") from None
