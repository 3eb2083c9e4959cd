"""Reads from a body which dead letters are meant."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from backbone.consuming.discarding import Which
from backbone.values.fields import WHOLE, given

KeyText = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
GroupId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
LetterNumber = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1), WHOLE]


class Selection(BaseModel):
    """Names one letter, a key, or a group of those that failed for one reason."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": given(letter="integer", key="string", group="string")}
    )

    letter: Annotated[LetterNumber | None, Field(description="One dead letter, by its number.")] = None
    key: Annotated[KeyText | None, Field(description="All of one key.")] = None
    group: Annotated[GroupId | None, Field(description="Those of a group of GET /dead-letters/groups.")] = None

    def named(self) -> int:
        """Count what is named."""
        return sum(each is not None for each in (self.letter, self.key, self.group))

    @model_validator(mode="after")
    def _one(self) -> "Selection":
        if self.named() != 1:
            raise ValueError("Name one of letter, key and group")
        return self

    def which(self) -> Which:
        """Return what is meant."""
        return Which(letter=self.letter, key=self.key, fingerprint=self.group)
