"""Settings of the ledger."""

from pydantic import Field, field_validator

from backbone.events.buses import longest_retention
from backbone.settings import Settings as Common
from backbone.values.addresses import named_urls
from services import CATALOGUE


class Settings(Common):
    """Adds to the common settings how long events are kept."""

    ledger_days: int = Field(400, le=36_600, description="How long the archive keeps events; topics keep them shorter")

    @field_validator("services")
    @classmethod
    def _known_services(cls, given: str) -> str:
        if unknown := named_urls(given).keys() - {*CATALOGUE, "*"}:
            raise ValueError(f"{min(unknown)!r} is no name of a service with an address: orders=http://127.0.0.1:8001")
        return given

    @field_validator("ledger_days")
    @classmethod
    def _archived_for_longer_than_topics(cls, given: int) -> int:
        longest = longest_retention().days
        if given <= longest:
            raise ValueError(
                f"must be more than {longest}: topics keep events for {longest} days (buses.toml), and what is read "
                "again after its day was dropped would be kept as new"
            )
        return given

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service is asked, by its name."""
        return {name: url for name in CATALOGUE if (url := self.address_of(name))}
