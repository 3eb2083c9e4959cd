"""Decides which addresses may be called: how one may be written, and where it may lead.

Others choose these addresses, and we call them from inside: from here one reaches databases, neighbours and the
cloud's own secrets. So an address has exactly one way to be written, which every parser reads alike, and what its
name resolves to has to lie outside, unless a setting lets it.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import idna
import msgspec

from backbone.errors import SlicelineError
from backbone.values.networks import IP, Network

LONGEST_URL = 2000
_LONGEST_NAME = 253
_USUAL_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"[^:/?#]*://([^/?#]*)")
_URL = re.compile(
    r"""
    (?P<scheme>https?)://
    (?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)
    (?::(?P<port>[1-9][0-9]{0,4}))?
    (?P<target>(?:[/?][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?)
    """,
    re.VERBOSE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
# What some parser takes for a number: then it reads the whole name as an IPv4 address in decimal, octal or hex.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's registries of special addresses, and the two public ones at which clouds answer their own machines.
_NOT_PUBLIC_V4 = [
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network: the unspecified address leads to this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's NAT; metadata at Alibaba
        "127.0.0.0/8",
        "168.63.129.16/32",  # the platform itself, at Azure
        "169.254.0.0/16",  # link-local; metadata at most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocols; metadata at Oracle
        "192.0.2.0/24",  # documentation, as are 198.51.100.0/24 and 203.0.113.0/24
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
# Of IPv6 only this is given out to the public. So loopback, link-local, unique local, multicast and whatever holds an
# IPv4 address (mapped, compatible, NAT64) lie outside it already.
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = [
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
]
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_ISATAP = (0x00005EFE, 0x02005EFE)


class Refused(SlicelineError):
    """This address is not called. The text says what it would have to be."""


class Address(msgspec.Struct, frozen=True):
    """Holds where a webhook goes, taken apart once: nothing later reads the text anew."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str


class Rules(msgspec.Struct, frozen=True):
    """Says what may be called beside what is public."""

    ports: frozenset[int] = frozenset(_USUAL_PORTS.values())
    networks: tuple[Network, ...] = ()

    def read(self, url: str) -> Address:
        """Read an address. Raises Refused for one that is written in another way, or leads where none may."""
        address = _read(url)
        if address.port not in self.ports:
            allowed = ", ".join(map(str, sorted(self.ports)))
            raise Refused(f"must have one of the ports that are allowed: {allowed}")
        if (ip := literal(address.host)) is not None:
            self.check(ip)
        return address

    def check(self, ip: IP) -> None:
        """Raise Refused when this IP address may not be connected to."""
        if not all(self._is_allowed(each) or is_public(each) for each in (ip, *embedded(ip))):
            raise Refused(f"must lead to a public address, and {ip} is none")

    def _is_allowed(self, ip: IP) -> bool:
        return any(ip in network for network in self.networks)


def ports_of(text: str) -> frozenset[int]:
    """Read a list of ports, `80,443`. Raises ValueError."""
    ports = [int(each) if each.isascii() and each.isdecimal() else 0 for each in _listed(text)]
    if not ports or not all(1 <= port <= 65535 for port in ports):
        raise ValueError("must be ports between 1 and 65535, separated by commas")
    return frozenset(ports)


def is_public(ip: IP) -> bool:
    """Tell whether everybody outside reaches the same machine at this address."""
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_V4)
    return ip in _PUBLIC_V6 and not _is_isatap(ip) and not any(ip in network for network in _NOT_PUBLIC_V6)


def embedded(ip: IP) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address holds: it may lead to each of them."""
    if isinstance(ip, IPv4Address):
        return
    yield from (each for each in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if each is not None)
    if (ip in _COMPATIBLE and not ip.is_loopback) or any(ip in network for network in _NAT64) or _is_isatap(ip):
        yield IPv4Address(int(ip) & 0xFFFFFFFF)


def _is_isatap(ip: IPv6Address) -> bool:
    return int(ip) >> 32 & 0xFFFFFFFF in _ISATAP


def _read(url: str) -> Address:
    if objection := _objection(url):
        raise Refused(objection)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise Refused("must be written as https://host/path, without anything that parsers read in different ways")
    host = parts["host"].lower()
    if objection := _host_objection(host):
        raise Refused(objection)
    port = int(parts["port"] or _USUAL_PORTS[parts["scheme"]])
    authority = f"{host}:{port}" if parts["port"] else host
    target = parts["target"] if parts["target"].startswith("/") else f"/{parts['target']}"
    return Address(parts["scheme"], host.strip("[]"), port, authority, target)


def _objection(url: str) -> str | None:
    """Say what is wrong with a text as a whole, where something more telling can be said than that it is wrong."""
    if len(url) > LONGEST_URL:
        return f"must have at most {LONGEST_URL} characters"
    if not url.isascii():
        return "must be plain ASCII: an international name is written in its xn-- form"
    if not re.match(r"https?://", url):
        return "must begin with https:// or http://"
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        return "must hold neither a user nor a password"
    if "#" in url:
        return "must have no fragment"
    return None


def _host_objection(host: str) -> str | None:
    if host.startswith("["):
        return None if literal(host.strip("[]")) else "must hold a sound IPv6 address between its brackets"
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1] or labels[-2]):
        return None if literal(host) else "must write an IPv4 address as four decimal numbers, like 192.0.2.1"
    if not labels[-1]:
        return "must not end its host with a dot"
    if len(labels) < 2 or len(host) > _LONGEST_NAME or not all(map(_is_label, labels)):
        return "must name a host with its whole name, like hooks.example.com"
    return None


def _is_label(label: str) -> bool:
    if _LABEL.fullmatch(label) is None:
        return False
    if label[2:4] != "--":
        return True
    try:
        return idna.encode(idna.decode(label)) == label.encode()
    except UnicodeError:
        return False


def literal(host: str) -> IP | None:
    """Return the IP address that a host is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _listed(text: str) -> Sequence[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
