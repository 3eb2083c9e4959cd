"""What payments is told from outside."""

from pydantic import Field

from backbone.settings import Settings as Common


class Settings(Common):
    """Common settings and where, how fast and how long the provider is asked."""

    provider_url: str = Field("http://127.0.0.1:8090", description="The payment provider")
    provider_rate: float = Field(5.0, ge=0, description="Calls a second it accepts; 0: no limit")
    payment_give_up_seconds: float = Field(
        900.0, gt=0, description="An attempt failing this long after the first one was the last"
    )
