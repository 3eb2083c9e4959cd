"""Reads lists of networks, and of hosts beside them."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The last label has a letter: without one it would be an address, and no good one.
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z][A-Za-z0-9_-]*")


def networks_of(text: str) -> tuple[Network, ...]:
    """Read a list of networks, `10.0.0.0/8,fd00::/8`. Raises ValueError."""
    return tuple(map(ip_network, _listed(text)))


def networks_and_hosts_of(text: str) -> tuple[tuple[Network, ...], tuple[str, ...]]:
    """Read a list of networks and names of hosts, `10.0.0.0/8,front`. Raises ValueError."""
    hosts = tuple(filter(_HOST.fullmatch, _listed(text)))
    return tuple(ip_network(each) for each in _listed(text) if each not in hosts), hosts


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _read_by(read: Callable[[str], object]) -> AfterValidator:
    def check(given: str) -> str:
        read(given)
        return given

    return AfterValidator(check)


Networks = Annotated[str, _read_by(networks_of)]
"""A setting that is a list of networks."""
NetworksAndHosts = Annotated[str, _read_by(networks_and_hosts_of)]
"""A setting that is a list of networks and names of hosts."""
