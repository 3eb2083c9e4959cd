"""Settings of orders."""

from datetime import timedelta
from functools import cached_property

from pydantic import Field

from backbone import settings
from services.orders.expecting import Usual
from services.orders.order import Status


class Settings(settings.Settings):
    """Adds to the common settings how long steps usually take, and when one counts as late."""

    delay_after_seconds: settings.Seconds = Field(300.0, description="A step that takes longer publishes order-delayed")

    usually_confirmed_seconds: settings.Seconds = Field(10.0, description="What confirming usually takes once placed")
    usually_preparing_seconds: settings.Seconds = Field(300.0, description="Until the kitchen usually begins")
    usually_baked_seconds: settings.Seconds = Field(600.0, description="What preparing and baking usually takes")
    usually_dispatched_seconds: settings.Seconds = Field(300.0, description="Until a courier usually leaves")
    usually_completed_seconds: settings.Seconds = Field(
        1200.0, description="Until it is usually delivered, or collected once it can be"
    )
    usually_cancelled_seconds: settings.Seconds = Field(30.0, description="What deciding a cancellation usually takes")

    @cached_property
    def usual(self) -> Usual:
        """Return how long it usually takes until an order stands there."""
        seconds = {
            Status.CONFIRMED: self.usually_confirmed_seconds,
            Status.PREPARING: self.usually_preparing_seconds,
            Status.BAKED: self.usually_baked_seconds,
            Status.READY: self.usually_baked_seconds,
            Status.DISPATCHED: self.usually_dispatched_seconds,
            Status.COMPLETED: self.usually_completed_seconds,
            Status.CANCELLED: self.usually_cancelled_seconds,
        }
        return {status: timedelta(seconds=each) for status, each in seconds.items()}

    @property
    def delay_after(self) -> timedelta:
        """Return `delay_after_seconds` as a span of time."""
        return timedelta(seconds=self.delay_after_seconds)
