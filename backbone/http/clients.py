"""Tells which client a request is from: whoever is connected, or whom a trusted proxy names that is."""

import asyncio
import time
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from starlette.types import Scope

from backbone.settings import Settings
from backbone.values.networks import IP, Network, networks_and_hosts_of, networks_of

REMEMBERED = 4096
"""Addresses that are not read anew each time."""
LOOKED_UP_AGAIN = 5.0
"""Seconds after which the address of a proxy's name is asked for again: whoever is started anew may have another."""


class Client(NamedTuple):
    """Is as whom a request is counted, and whether it came from within, past every door."""

    name: str
    is_within: bool


class _Place(NamedTuple):
    client: Client
    written: str = ""
    is_proxys: bool = False


class Clients:
    """Tells clients apart, by addresses that nobody can say of himself."""

    def __init__(self, settings: Settings) -> None:
        self._networks, self._hosts = networks_and_hosts_of(settings.trusted_proxies)
        self._within = networks_of(settings.unlimited_networks)
        self._has_proxies = bool(self._networks or self._hosts)
        self._place = lru_cache(REMEMBERED)(self._read)
        self._found: dict[str, set[str]] = {}
        self._looked_up = -LOOKED_UP_AGAIN
        self._looking: asyncio.Task[None] | None = None

    def of(self, scope: Scope) -> Client:
        """Return the client of a request. What X-Forwarded-For says counts from a trusted proxy alone."""
        peer: str = (scope.get("client") or ("", 0))[0]
        client = self._place(peer).client
        if self._has_proxies and (said := _forwarded(scope)) and self._is_proxy(peer):
            others = (each for each in map(str.strip, reversed(said.split(","))) if not self._is_proxy(each))
            return Client(self._place(next(others, peer)).client.name or client.name, is_within=False)
        return client

    def _is_proxy(self, address: str) -> bool:
        """Tell whether a proxy is at an address; a host's is known a moment after it was first asked for."""
        if self._hosts and (now := time.monotonic()) - self._looked_up >= LOOKED_UP_AGAIN:
            self._looked_up = now
            self._looking = asyncio.create_task(self._look_up())
        place = self._place(address)
        return place.is_proxys or any(place.written in found for found in self._found.values())

    async def _look_up(self) -> None:
        """Ask where the proxies are; one that nobody knows of at the moment is where it was."""
        ask = asyncio.get_running_loop().getaddrinfo
        answers = await asyncio.gather(*(ask(host, None) for host in self._hosts), return_exceptions=True)
        for host, known in zip(self._hosts, answers, strict=True):
            if isinstance(known, list):
                self._found[host] = {str(each[4][0]) for each in known}

    def _read(self, address: str) -> _Place:
        """Return what there is to know of an address; nobody is at what is none."""
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return _Place(Client("", is_within=True))
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        return _Place(Client(_name(ip), _is_in(ip, self._within)), str(ip), _is_in(ip, self._networks))


def _forwarded(scope: Scope) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")


def _name(ip: IP) -> str:
    """Name whom an address belongs to: with IPv6 one customer has a network of 2^64 of them, at the least."""
    return str(IPv6Network((ip, 64), strict=False) if isinstance(ip, IPv6Address) else ip)


def _is_in(ip: IP, networks: Iterable[Network]) -> bool:
    return any(ip in network for network in networks)
