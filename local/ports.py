"""Finds out which TCP ports are free, and which processes hold the others."""

import secrets
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

HOST = "127.0.0.1"
drawn_from = range(12_000, 32_000)
_drawn: deque[int] = deque(maxlen=500)
"""Where free ports are looked for."""


@dataclass(frozen=True)
class Owner:
    """Names the process that listens on a port; pid is None where the system does not tell."""

    pid: int | None
    name: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return "a process this user may not look at"
        return f"{self.name} (pid {self.pid})" if self.name else f"pid {self.pid}"


def free_port() -> int:
    """Return a port nobody listens on now, and another each time. Whoever binds it first has it, so use it soon.

    It lies below those that systems take for connections going out: one of these could have it a moment later.
    """
    while True:
        port = drawn_from.start + secrets.randbelow(len(drawn_from))
        if port not in _drawn and _can_be_bound(port):
            _drawn.append(port)
            return port


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of the loopback address."""
    return _can_be_bound(port) and not accepts(port)


def accepts(port: int) -> bool:
    """Tell whether somebody accepts connections on this port of the loopback address."""
    try:
        with socket.create_connection((HOST, port), timeout=0.5):
            return True
    except OSError:
        return False


def _can_be_bound(port: int) -> bool:
    with socket.socket() as probe:
        # Connections that linger after a server's end must not count as somebody listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def taken(ports: Iterable[int]) -> dict[int, Owner]:
    """Return those of the ports that are not free, each with the process that holds it."""
    return {port: owner_of(port) for port in ports if not is_free(port)}


def owner_of(port: int) -> Owner:
    """Return the process listening on the port, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return Owner(None, None)
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return Owner(connection.pid, _name_of(connection.pid))
    return Owner(None, None)


def _name_of(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None
