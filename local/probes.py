"""Asks servers whether they are ready: cheap questions, asked ten times a second while something starts."""

import http.client
import json
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from local.ports import HOST, accepts

TIMEOUT = 2.0
POSTGRES_PROTOCOL_3 = 196608
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
KAFKA_API_VERSIONS = 18
_API_VERSIONS = struct.pack("!ihhih", 10, KAFKA_API_VERSIONS, 0, 1, -1)
# Who answers is of no interest here, and nothing is told him.
_ANYBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ANYBODY.check_hostname, _ANYBODY.verify_mode = False, ssl.CERT_NONE

__all__ = ["accepts", "get_json", "http_ready", "kafka", "nothing", "open_kafka", "postgres"]


def nothing() -> bool:
    """Count a process that serves nobody as ready once it runs."""
    return True


def http_ready(port: int, path: str = "/health/ready") -> bool:
    """Tell whether GET answers 200."""
    try:
        return _get(port, path)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def get_json(port: int, path: str, expected: int = http.HTTPStatus.OK) -> Any:
    """Return the JSON that GET answers with the expected status; None for everything else."""
    try:
        status, body = _get(port, path)
        return json.loads(body) if status == expected else None
    except (OSError, http.client.HTTPException, ValueError):
        return None


def postgres(port: int) -> bool:
    """Tell whether Postgres asks for a password yet; while it recovers it answers with an error instead."""
    fields = b"user\x00postgres\x00database\x00postgres\x00\x00"
    return (
        _ask(port, struct.pack("!ii", 8 + len(fields), POSTGRES_PROTOCOL_3) + fields, _as_postgres_has_it)[:1] == b"R"
    )


def kafka(port: int) -> bool:
    """Tell whether the broker answers ApiVersions over TLS: every client asks this first, before it says who it is."""
    return len(_ask(port, _API_VERSIONS, _over_tls)) > 0


def open_kafka(port: int) -> bool:
    """Tell whether a broker that lets in everybody answers."""
    return len(_ask(port, _API_VERSIONS)) > 0


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _plain(connection: socket.socket) -> socket.socket:
    return connection


def _over_tls(connection: socket.socket) -> socket.socket:
    return _ANYBODY.wrap_socket(connection)


def _as_postgres_has_it(connection: socket.socket) -> socket.socket:
    """Go on over TLS with a server that has it: it may refuse whoever comes without."""
    connection.sendall(_SSL_REQUEST)
    return _over_tls(connection) if connection.recv(1) == b"S" else connection


def _ask(port: int, request: bytes, secured: Callable[[socket.socket], socket.socket] = _plain) -> bytes:
    try:
        with socket.create_connection((HOST, port), TIMEOUT) as plain:
            plain.settimeout(TIMEOUT)
            with secured(plain) as connection:
                connection.sendall(request)
                return connection.recv(4096)
    except OSError:
        return b""
