"""Finds the databases of the running shop, for the commands that ask them directly."""

from backbone.values.verified import verified
from cli.running import Shop, told_by_migrate
from deployment.addresses import database_url
from deployment.drawing import written
from local import HOME, programs
from local.layout import layout_for
from local.ports import HOST

CA_FILE = HOME / "containers" / "postgres-ca.pem"
"""By whom the Postgres in containers is known, as they have told it."""


def url_of(shop: Shop, service: str, role: str) -> str:
    """Return the address, with its password, of a service's own database under a role."""
    layout = layout_for(shop.port_offset)
    if shop.in_containers:
        told = told_by_migrate(f"The password of {role}", "deployment.passwords", role)
        password, _, authorities = told.partition("\n")
        CA_FILE.parent.mkdir(parents=True, exist_ok=True)
        written(CA_FILE, authorities).replace(CA_FILE)
        server = verified(f"postgresql://{HOST}:{layout.port('postgres')}", CA_FILE)
        return database_url(server, service, role, password)
    return database_url(programs.admin_url(layout), service, role, programs.passwords(layout).of(role))
