"""Finds the databases of the running shop, for the commands that ask them directly."""

import os

from cli.running import Shop
from deployment.addresses import database_url
from local import programs
from local.layout import layout_for
from local.ports import HOST

COMPOSE_PASSWORD = "sliceline"  # noqa: S105 (docker-compose.yml says it to everybody, and publishes to this machine only)


def url_of(shop: Shop, service: str) -> str:
    """Return the address, with its password, of a service's own database under its own role."""
    layout = layout_for(shop.port_offset)
    if shop.in_containers:
        password = os.environ.get("SLICELINE_PASSWORD") or COMPOSE_PASSWORD
        return database_url(f"postgresql://{HOST}:{layout.port('postgres')}", service, password)
    return database_url(programs.admin_url(layout), service, programs.role_password(layout))
