"""Makes once for a process what hundreds of tests make again and is the same each time, as a tenth of their time was.

A client over HTTP reads all authorities that the world trusts, also where it is never to meet one; an application makes
the routes that every process has, also for a service that another test has just served.
"""

import ssl
from functools import cache
from typing import Any

from fastapi import APIRouter
from httpx import create_ssl_context
from httpx._transports import default

from backbone import application
from backbone.service import Service

_make_operations = application._operations
_operations: dict[int, tuple[Service[Any], list[APIRouter]]] = {}


def make() -> None:
    """Let clients and applications of this process share these from now on."""
    vars(default)[create_ssl_context.__name__] = _context
    application._operations = _shared


def _context(verify: Any, cert: Any, trust_env: bool) -> ssl.SSLContext:
    """Return the context of all who trust whom the world trusts; each other asks for one of its own."""
    return _world() if verify is True and cert is None else create_ssl_context(verify, cert, trust_env)


@cache
def _world() -> ssl.SSLContext:
    return create_ssl_context(verify=True)


def _shared(service: Service[Any]) -> list[APIRouter]:
    """Return the routers of a service; it is kept beside them, so that no other is found at its address in memory."""
    if id(service) not in _operations:
        _operations[id(service)] = service, _make_operations(service)
    return _operations[id(service)][1]
