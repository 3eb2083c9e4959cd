"""Makes the answers of commands, and encodes every JSON document that the backbone writes itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import Response
from pydantic import BaseModel

JSON = "application/json"
CORRELATION = "X-Correlation-Id"
"""The header that every answer has: what its request is called in logs and events."""
_BODILESS = (204, 205, 304)


@dataclass(frozen=True)
class Answer:
    """Is a command's success, stored under its Idempotency-Key and sent. To refuse, raise Problem, which rolls back."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 200 <= self.status < 400:
            raise ValueError(f"An Answer is a success, not {self.status}: raise Problem to refuse and roll back.")

    def response(self) -> Response:
        """Make the response that is sent."""
        if self.status in _BODILESS:
            return Response(status_code=self.status, headers=self.headers)
        return Response(to_json(self.body), self.status, self.headers, JSON)


def to_json(document: Any) -> bytes:
    """Encode what msgspec knows (dicts, structs, dataclasses, dates, UUIDs), Pydantic models and any mapping."""
    return _encoder.encode(document)


def _builtin(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form: turn it into a dict first.")


_encoder = msgspec.json.Encoder(enc_hook=_builtin)
