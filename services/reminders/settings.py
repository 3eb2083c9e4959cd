"""Settings of reminders."""

from datetime import timedelta

from pydantic import Field

from backbone.settings import Seconds
from backbone.settings import Settings as Common


class Settings(Common):
    """Adds to the common settings how long a customer is left alone with a cart."""

    remind_after_seconds: Seconds = Field(
        86400.0, description="So long after the last item, and without a checkout, the customer is reminded of a cart"
    )

    @property
    def remind_after(self) -> timedelta:
        """The same as a span of time."""
        return timedelta(seconds=self.remind_after_seconds)
