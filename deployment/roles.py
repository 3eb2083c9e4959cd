"""Names the roles that an installation has in Postgres. Standard library only: every command uses it.

A service's own role has the service's name.
"""

from collections.abc import Iterable

SUPERUSER = "postgres"
READER = "sliceline_reader"
"""Reads the tables of every service, and writes nothing."""


def owner_of(service: str) -> str:
    """Name the role that a service's tables belong to: it migrates them, and no service runs as it."""
    return f"{service}_owner"


def is_of_a_service(role: str) -> bool:
    """Tell whether a role is a service's own: no service has an underscore in its name."""
    return "_" not in role and role != SUPERUSER


def every_role(services: Iterable[str]) -> tuple[str, ...]:
    """Name all roles of an installation but the superuser."""
    return (*services, *map(owner_of, services), READER)
