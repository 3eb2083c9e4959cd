"""Settings of the ledger."""

from pydantic import Field, field_validator

from backbone.events.buses import longest_retention
from backbone.settings import Settings as Common


class Settings(Common):
    """Adds to the common settings how long events are kept, and where the other services are asked."""

    ledger_days: int = Field(400, le=36_600, description="How long the archive keeps events; topics keep them shorter")

    @field_validator("ledger_days")
    @classmethod
    def _longer_than_topics(cls, given: int) -> int:
        longest = longest_retention().days
        if given <= longest:
            raise ValueError(
                f"must be more than {longest}: topics keep events for {longest} days (buses.toml), and what is read "
                "again after its day was dropped would be kept as new"
            )
        return given
