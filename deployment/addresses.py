"""Builds the addresses of the services' databases. Standard library only: the container image uses it too."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from backbone.values.passwords import with_password
from backbone.values.verified import verified
from deployment import CA_FILE


def superuser_told_by(environ: Mapping[str, str]) -> str | None:
    """Return the superuser's address that the environment names; None where it names none."""
    url, ca_file = environ.get("SLICELINE_POSTGRES_URL"), environ.get(CA_FILE)
    return verified(url, Path(ca_file) if ca_file else None) if url else None


def database_url(postgres_url: str, service: str, role: str, password: str | None = None) -> str:
    """Return the address of a service's own database under a role, on the server that `postgres_url` names."""
    server = urlsplit(postgres_url)
    host = server.netloc.rpartition("@")[2]
    url = server._replace(netloc=f"{role}@{host}", path=f"/{service}").geturl()
    return url if password is None else with_password(url, password)


def in_database(postgres_url: str, service: str) -> str:
    """Return the address of a service's own database under the role that `postgres_url` names, the superuser."""
    return urlsplit(postgres_url)._replace(path=f"/{service}").geturl()


def without_password(url: str) -> str:
    """Return host and port of an address, fit to be shown."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
