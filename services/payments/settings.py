"""Settings of payments."""

from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from backbone.settings import Seconds
from backbone.settings import Settings as Common
from backbone.values.addresses import HttpUrl

SLOWEST = 0.001


class Settings(Common):
    """Adds to the common settings where, how fast and how long the provider is asked."""

    provider_url: HttpUrl = Field("http://127.0.0.1:8090", description="The payment provider")
    provider_rate: float = Field(
        5.0, ge=0, le=1_000_000, allow_inf_nan=False, description="Calls a second it accepts; 0: no limit"
    )
    time_zone: str = Field("UTC", description="Where the shop is, by its name in IANA's list: its days are counted")
    payment_give_up_seconds: Seconds = Field(
        900.0, description="An attempt failing this long after the first one was the last"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, given: str) -> str:
        try:
            ZoneInfo(given)
        except (KeyError, ValueError, OSError):  # not listed, no name at all, a folder of the list
            raise ValueError(f"{given!r} is no time zone that IANA lists, like Europe/London") from None
        return given

    @property
    def zone(self) -> ZoneInfo:
        """Return `time_zone` as what knows its days."""
        return ZoneInfo(self.time_zone)

    @field_validator("provider_rate")
    @classmethod
    def _any_calls_at_all(cls, given: float) -> float:
        if 0 < given < SLOWEST:
            raise ValueError(f"must be 0 (no limit) or at least {SLOWEST}, a call in a quarter of an hour")
        return given
