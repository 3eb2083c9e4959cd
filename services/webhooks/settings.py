"""Settings of webhooks."""

from pydantic import Field, field_validator

from backbone.settings import Seconds
from backbone.settings import Settings as Common
from backbone.values.networks import Networks, networks_of
from services.webhooks.addresses import Rules, ports_of


class Settings(Common):
    """Adds to the common settings which addresses may be called, how long one is waited for, what is kept how long."""

    webhook_ports: str = Field("80,443", description="Ports that webhooks may be called at, separated by commas")
    webhook_networks: Networks = Field(
        "", description="Networks that webhooks may lead to although they are not public: 10.1.0.0/16,127.0.0.1"
    )
    webhook_timeout_seconds: Seconds = Field(
        15.0, le=30, description="So long a webhook's receiver may take for its answer"
    )
    webhook_days: int = Field(30, ge=1, le=3660, description="How long events and their deliveries are kept")

    @field_validator("webhook_ports")
    @classmethod
    def _sound_ports(cls, given: str) -> str:
        ports_of(given)
        return given

    @property
    def rules(self) -> Rules:
        """Which addresses may be called."""
        return Rules(ports_of(self.webhook_ports), networks_of(self.webhook_networks))
