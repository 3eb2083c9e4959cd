"""Settings of alerts."""

from datetime import timedelta

from pydantic import Field

from backbone.settings import Settings as Common


class Settings(Common):
    """Adds to the common settings how often the shop may be told of the same."""

    alert_quiet_seconds: float = Field(
        3600.0, ge=0, le=366 * 86400, description="So long after an alert the same SKU and kind are not told again"
    )

    @property
    def alert_quiet(self) -> timedelta:
        """Return `alert_quiet_seconds` as a span of time."""
        return timedelta(seconds=self.alert_quiet_seconds)
