"""What the orders process is told beside the common settings."""

from datetime import timedelta

from pydantic import Field

from backbone import settings


class Settings(settings.Settings):
    """Adds when a step counts as late."""

    delay_after_seconds: settings.Seconds = Field(300.0, description="A step that takes longer publishes order-delayed")

    @property
    def delay_after(self) -> timedelta:
        """The same as a span of time."""
        return timedelta(seconds=self.delay_after_seconds)
