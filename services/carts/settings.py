"""Settings of carts."""

from pydantic import Field

from backbone.settings import Settings as Common
from backbone.values.addresses import HttpUrl


class Settings(Common):
    """Adds to the common settings where orders are placed."""

    orders_url: HttpUrl = Field("http://127.0.0.1:8001", description="The API of orders, which a checkout calls")
