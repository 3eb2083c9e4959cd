"""Describes an archived event as it is handed to a service: the record that it came in."""

from base64 import b64decode
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.consuming.batch import Letter
from backbone.consuming.replaying import Archived, as_archived
from backbone.values.fields import PAIR, Moment

Encoded = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", max_length=2_000_000),
]


class ArchivedRecord(BaseModel):
    """An event as Kafka had it; bytes are in base64."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[str, StringConstraints(max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")]
    partition: Annotated[int, Field(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Field(ge=0, le=2**63 - 2)]
    recorded_at: Annotated[Moment, Field(description="When Kafka took it.")]
    key: Encoded | None
    headers: Annotated[list[Annotated[tuple[str, Encoded | None], PAIR]], Field(max_length=1000)]
    value: Encoded | None

    def record(self) -> Archived:
        """Return it in the shape of the record it was."""
        headers = [(name, _bytes(value)) for name, value in self.headers]
        place = self.topic, self.partition, self.offset
        return as_archived(Letter(*place, _bytes(self.key), _bytes(self.value), headers), self.recorded_at)


def _bytes(encoded: str | None) -> bytes | None:
    return None if encoded is None else b64decode(encoded)
