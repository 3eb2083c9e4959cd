"""Settings of notifications."""

from pydantic import Field

from backbone.settings import Port
from backbone.settings import Settings as Common
from backbone.values.fields import Email


class Settings(Common):
    """Adds the mail server and the shop's own address to the common settings."""

    smtp_host: str = Field("127.0.0.1", min_length=1, description="The mail server that takes our mail")
    smtp_port: Port = Field(1025, description="The port on which it takes mail")
    shop_email: Email = Field("shop@sliceline.example", description="Gets stock alerts; signs all mail")
