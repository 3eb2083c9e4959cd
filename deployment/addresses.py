"""Where a service finds its database; standard library only, for it is needed in the container image too."""

from urllib.parse import quote, urlsplit


def database_url(postgres_url: str, service: str, password: str) -> str:
    """The address of a service's own database, under its own role, on the server of the given address."""
    server = urlsplit(postgres_url)
    host = server.netloc.rpartition("@")[2]
    return server._replace(netloc=f"{service}:{quote(password, safe='')}@{host}", path=f"/{service}").geturl()


def without_password(url: str) -> str:
    """Host and port of an address, fit to be shown."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
