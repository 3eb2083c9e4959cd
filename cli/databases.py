"""Finds the databases of the running shop, for the commands that ask them directly."""

from cli.running import Shop, told_by_migrate
from deployment.addresses import database_url
from local import programs
from local.layout import layout_for
from local.ports import HOST


def url_of(shop: Shop, service: str, role: str) -> str:
    """Return the address, with its password, of a service's own database under a role."""
    layout = layout_for(shop.port_offset)
    if shop.in_containers:
        return database_url(
            f"postgresql://{HOST}:{layout.port('postgres')}",
            service,
            role,
            told_by_migrate(f"The password of {role}", "deployment.passwords", role).strip(),
        )
    return database_url(programs.admin_url(layout), service, role, programs.passwords(layout).of(role))
