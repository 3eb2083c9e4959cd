"""What notifications is told from outside."""

from pydantic import Field

from backbone.settings import Settings as Common
from services.notifications.decisions import ADDRESS


class Settings(Common):
    """Common settings, the mail server and the shop's own address."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(1025, ge=1, le=65535)
    shop_email: str = Field(
        "shop@sliceline.example", max_length=254, pattern=ADDRESS, description="Gets stock alerts; signs all mail"
    )
