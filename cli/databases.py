"""Finds the databases of the running shop, for the commands that ask them directly."""

import subprocess

from cli.console import fail
from cli.running import Shop, docker
from deployment.addresses import database_url
from local import ROOT, programs
from local.layout import layout_for
from local.ports import HOST


def url_of(shop: Shop, service: str, role: str) -> str:
    """Return the address, with its password, of a service's own database under a role."""
    layout = layout_for(shop.port_offset)
    if shop.in_containers:
        return database_url(f"postgresql://{HOST}:{layout.port('postgres')}", service, role, _told_by_compose(role))
    return database_url(programs.admin_url(layout), service, role, programs.passwords(layout).of(role))


def _told_by_compose(role: str) -> str:
    """Ask a container of `migrate`, which alone sees all passwords; end the command when it does not say."""
    command = [docker(), "compose", "run", "--rm", "--no-deps", "-T", "migrate", "deployment.passwords", role]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (the engine's own command)
    if done.returncode != 0:
        fail(f"The password of {role} is in a volume of the containers, and they do not tell it:\n{done.stderr}")
    return done.stdout.strip()
