"""Settings of the ledger."""

from pydantic import Field, field_validator

from backbone.events.buses import longest_retention
from backbone.settings import Settings as Common
from backbone.values.addresses import http_url
from services import CATALOGUE

_ALL = "*"


class Settings(Common):
    """Adds to the common settings how long events are kept, and where the other services are asked."""

    services: str = Field(
        "",
        description="Where others are asked: orders=http://127.0.0.1:8001,…; *=http://*:8000 is each at a host of its "
        "name; without it nobody is asked",
    )
    ledger_days: int = Field(400, le=36_600, description="How long the archive keeps events; topics keep them shorter")

    @field_validator("services")
    @classmethod
    def _sound_addresses(cls, given: str) -> str:
        _addresses(given)
        return given

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

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service is asked, by its name."""
        return _addresses(self.services)


def _addresses(given: str) -> dict[str, str]:
    """Read addresses by name. Raises ValueError."""
    found: dict[str, str] = {}
    for each in filter(None, map(str.strip, given.split(","))):
        name, sign, url = each.partition("=")
        if not (sign and (name == _ALL or name in CATALOGUE)):
            raise ValueError(f"{each!r} is no name of a service with an address: orders=http://127.0.0.1:8001")
        for one in CATALOGUE if name == _ALL else (name,):
            found[one] = http_url(url.replace(_ALL, one)).rstrip("/")
    return found
