"""What notifications is told from outside."""

from pydantic import Field

from backbone.fields import Email
from backbone.settings import Settings as Common


class Settings(Common):
    """Common settings, the mail server and the shop's own address."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(1025, ge=1, le=65535)
    shop_email: Email = Field("shop@sliceline.example", description="Gets stock alerts; signs all mail")
