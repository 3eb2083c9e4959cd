"""Settings of orders."""

from datetime import timedelta

from pydantic import Field

from backbone import settings


class Settings(settings.Settings):
    """Adds to the common settings when a step counts as late."""

    delay_after_seconds: settings.Seconds = Field(300.0, description="A step that takes longer publishes order-delayed")

    @property
    def delay_after(self) -> timedelta:
        """Return `delay_after_seconds` as a span of time."""
        return timedelta(seconds=self.delay_after_seconds)
