"""Builds the addresses of the services' databases. Standard library only: the container image uses it too."""

from urllib.parse import quote, urlsplit


def database_url(postgres_url: str, service: str, password: str) -> str:
    """Return the address of a service's own database, under its own role, on the server that `postgres_url` names."""
    server = urlsplit(postgres_url)
    host = server.netloc.rpartition("@")[2]
    return server._replace(netloc=f"{service}:{quote(password, safe='')}@{host}", path=f"/{service}").geturl()


def without_password(url: str) -> str:
    """Return host and port of an address, fit to be shown."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
