"""Checks the head of a request before anybody asks what it is about (RFC 9112)."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

import httptools

from backbone.http.problems import Problem, malformed

LARGEST_HEAD = 16 * 1024
"""Bytes of a request line with its headers; and of trailers with everything else around a body in chunks."""

LARGEST_TARGET = 8 * 1024
_LARGEST_PORT = 65535

# RFC 3986 3.2.2: an address in brackets, or a name; then perhaps a port.
_HOST = re.compile(rb"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::(?P<port>\d*))?")

# RFC 9112 3: a request line. Methods are upper-case by convention (RFC 9110 9.1), and noise is not.
_BEGUN = re.compile(rb"[A-Z][A-Z-]* [!-~]+ HTTP/1\.[01]\r\n")

Headers = Sequence[tuple[bytes, bytes]]


def check(version: str, method: bytes, target: bytes, headers: Headers) -> None:
    """Refuse a head that is well-formed and yet says nothing that can be relied on. Raises Problem."""
    if not version.startswith("1."):
        raise Problem(505, "HTTP version not supported", f"Speak HTTP/1.1, not HTTP/{version}.")
    if target == b"*" and method != b"OPTIONS":
        raise malformed("The target * is only for OPTIONS.", "target")
    _check_host(version, [value for name, value in headers if name == b"host"])
    _check_codings(version, [value for name, value in headers if name == b"transfer-encoding"])


def check_size(target: bytes, headers: Headers) -> None:
    """Refuse a head that is too large. Raises Problem 414 or 431."""
    size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
    if size > LARGEST_HEAD or len(target) > LARGEST_TARGET:
        raise too_large(target)


def too_large(target: bytes) -> Problem:
    """Make a 414 when it is the target's fault, else a 431."""
    if len(target) > LARGEST_TARGET:
        return Problem(414, "Target too long", f"A target may have {LARGEST_TARGET} bytes at most.")
    detail = f"Headers may have {LARGEST_HEAD} bytes at most, trailers and what surrounds chunks as well."
    return Problem(431, "Headers too large", detail)


def origin_form(target: bytes) -> bytes:
    """Reduce a target to path and query, as servers that are no proxies need it (RFC 9112 3.2.2)."""
    if target[:1] in (b"/", b"*"):
        return target
    parsed = httptools.parse_url(target)
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")


def is_begun_soundly(data: bytes) -> bool:
    """Tell whether data begins with a request line of HTTP/1, so that only its method can be unknown."""
    return _BEGUN.match(data) is not None


def _check_host(version: str, given: Sequence[bytes]) -> None:
    """Require exactly one sound Host (RFC 9112 3.2); only HTTP/1.0 may do without."""
    if len(given) > 1 or (not given and version != "1.0"):
        raise malformed(f"Send one Host header, not {len(given)}.", "Host")
    if given and not is_host(given[0]):
        raise malformed("must be the name or address of a host, and perhaps a port", "Host")


def _check_codings(version: str, given: Sequence[bytes]) -> None:
    """Refuse transfer codings that a proxy before us may have understood otherwise (RFC 9112 6.1)."""
    if given and version == "1.0":
        raise malformed("HTTP/1.0 knows no Transfer-Encoding.", "Transfer-Encoding")
    if any(value.strip().lower() != b"chunked" for value in given):
        raise Problem(501, "Transfer coding not implemented", "Send the body plain or in chunks.")


@lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Tell whether a Host header names a host, as RFC 3986 3.2.2 has it, with or without a port."""
    found = _HOST.fullmatch(value)
    if found is None or int(found["port"] or 0) > _LARGEST_PORT:
        return False
    return found["v6"] is None or _is_v6(found["v6"].decode())


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
