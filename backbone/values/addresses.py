"""Checks addresses that are settings: one that could never be reached is refused at the start, in plain words."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator

from backbone.values.shapes import of_shape, postgres_url

LARGEST_PORT = 65535
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SERVER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:/@,]+):([0-9]{1,5})")


def _bootstrap(given: str) -> str:
    for server in given.split(","):
        found = _SERVER.fullmatch(server.strip())
        if found is None or not 1 <= int(found[1]) <= LARGEST_PORT:
            raise ValueError(f"{server!r} is no host:port; servers are separated by commas")
    return given


def http_url(given: str) -> str:
    """Check the address of something that is called over HTTP. Raises ValueError."""
    return of_shape(given, ("http", "https"), "http://host:port or https://host:port")


def _objects(given: str) -> str:
    """Check the address of an object store."""
    shape = "file:///folder or s3://bucket/prefix?endpoint=https://host:port&region=name"
    parts, asked = urlsplit(given), parse_qs(urlsplit(given).query, keep_blank_values=True)
    is_folder = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1 and not parts.query
    is_s3 = parts.scheme == "s3" and bool(_BUCKET.fullmatch(parts.netloc)) and asked.keys() <= {"endpoint", "region"}
    if not (is_folder or is_s3) or parts.fragment or re.search(r"\s", given) or not all(map(all, asked.values())):
        raise ValueError(f"must be of the shape {shape}")
    for endpoint in asked.get("endpoint", ()):
        http_url(endpoint)
    return given


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens at a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def named_urls(given: str) -> dict[str, str]:
    """Read addresses by name, as `orders=http://127.0.0.1:8001,…`; the name * stands for all. Raises ValueError."""
    found: dict[str, str] = {}
    for each in filter(None, map(str.strip, given.split(","))):
        name, sign, url = each.partition("=")
        if not (sign and name):
            raise ValueError(f"{each!r} is no name of a service with an address: orders=http://127.0.0.1:8001")
        http_url(url.replace("*", "any") if name == "*" else url)
        found[name] = url
    return found


def url_of(given: str, name: str) -> str | None:
    """Return the address that such a list has for a name; None where it has none. Raises ValueError."""
    known = named_urls(given)
    return (known.get(name) or known.get("*", "").replace("*", name)).rstrip("/") or None


Bootstrap = Annotated[str, AfterValidator(_bootstrap)]
PostgresUrl = Annotated[str, AfterValidator(postgres_url)]
ObjectsUrl = Annotated[str, AfterValidator(_objects)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
