"""Writes the configuration of the front door: which routes it lets through, to which service, within which limits.

The front door is Caddy, and what is written a Caddyfile. A route is let through if somebody who comes from outside
may use it (people.toml), or everybody; of the routes that every service has (health, metrics, parked events) none is.
It is found by the expression by which the service finds it, in the same decoded path, which nobody has tidied up: so
no path means one thing to the door and another to what is behind it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from backbone.http.bodies import LARGEST, larger
from backbone.http.browsers import TOLD
from backbone.http.routing import RoutePattern, routes_of
from backbone.http.wire.framing import LARGEST_HEAD
from backbone.http.wire.server import KEEP_ALIVE
from backbone.identity.caller import Permission
from backbone.service import Service
from deployment.people import scopes_outside

FILE = Path(__file__).with_name("Caddyfile")
_GROUP = re.compile(r"\(\?P<\w+>((?:\[[^]]*\]|[^()])*)\)")
_ANY, _REST = "{}", "{*}"
BEYOND = 4 * 1024
"""Bytes that Go's HTTP server reads of a head beyond what it is told to."""

OPENED = """\
# Written by `./sliceline contracts` from the services' routes and people.toml (docs/security.md): do not edit it.
{
	admin off
	auto_https disable_redirects
	skip_install_trust
	grace_period 5s
	http_port 8080
	https_port %(port)d
	servers {
		protocols h1 h2
		strict_sni_host on
		max_header_size %(head)d
		timeouts {
			read_header %(read_header)s
			read_body %(read_body)s
			idle %(idle)s
		}
	}
}

# What every answer says, refusals of the door's own as well; where a service says more of itself, that stays.
(told) {
	header Strict-Transport-Security "max-age=31536000"
%(told)s
	header {
		-Server
		-Via
		defer
	}
}

(behind) {
	# A service is asked once the whole body is here: slow ones hold none of its connections.
	request_buffers %(most)d
	# Streams are told on at once.
	flush_interval -1
	transport http {
		dial_timeout 3s
		response_header_timeout %(answer)s
		# Less than a service leaves an idle connection open, or one would be taken that is just being closed.
		keepalive %(keep_alive)ds
	}
}

# Whether the door is open, for the engine that runs its container.
http://127.0.0.1:%(health)d {
	bind 127.0.0.1
	respond ok
}

{$SLICELINE_DOMAIN:localhost} {
	import told
	# Nobody here changes the protocol of a connection (RFC 9110 7.8), and where a request is from the door says itself.
	request_header -Upgrade
	request_header -HTTP2-Settings
	request_header -Forwarded
	request_body {
		max_size %(most)d
	}
	route {
"""

OUTSIDE = """\
		@%(name)s {
			method %(methods)s
			vars_regexp {http.request.uri.path} "^(?:%(paths)s)$"
		}
		reverse_proxy @%(name)s %(upstream)s {
			import behind
		}
"""

WITHIN = """\
		# From within, at a path that one below would match as well.
		@%(name)s {
			method %(methods)s
			vars_regexp {http.request.uri.path} "^(?:%(paths)s)$"
		}
		error @%(name)s 404
"""

CLOSED = """\
		error 404
	}
	handle_errors {
		import told
		header Content-Type application/problem+json
		respond `{"type":"about:blank","title":"{err.status_text}","status":{err.status_code}}` {err.status_code}
	}
}
"""


@dataclass(frozen=True)
class Limits:
    """Says where the door listens, and how long it waits for whom; tests wait for less."""

    port: int = 8443
    health: int = 8081
    read_header: str = "10s"
    read_body: str = "30s"
    idle: str = "75s"
    answer: str = "60s"


def caddyfile(
    services: Mapping[str, Service[Any]],
    upstream: Callable[[str], str] = "{}:8000".format,
    limits: Limits = Limits(),
) -> str:
    """Return the configuration; `upstream` tells the address of a service."""
    told = {
        **asdict(limits),
        "head": LARGEST_HEAD - BEYOND,
        "keep_alive": KEEP_ALIVE - 15,
        "most": max(most for service in services.values() for most in (LARGEST, *_larger(service))),
        "told": "\n".join(f'\theader ?{name} "{value}"' for name, value in (*TOLD, ("Cache-Control", "no-store"))),
    }
    blocks = (block for name, service in services.items() for block in _blocks(name, service, upstream(name)))
    return "".join([OPENED % told, *blocks, CLOSED])


def _blocks(name: str, service: Service[Any], upstream: str) -> Iterator[str]:
    """Yield what the Caddyfile says of a service; what matches first is taken."""
    for number, route in enumerate(shadowing(service), start=1):
        yield WITHIN % {"name": f"{name}-within-{number}", "methods": _said(route.methods), "paths": _path(route)}
    for number, (methods, paths) in enumerate(openings(service).items(), start=1):
        yield OUTSIDE % {
            "name": f"{name}-{number}",
            "methods": _said({*methods, "OPTIONS"}),
            "paths": "|".join(paths),
            "upstream": upstream,
        }


def openings(service: Service[Any]) -> dict[frozenset[str], list[str]]:
    """Return the expressions of the paths that are let through to a service, by their methods."""
    found: dict[frozenset[str], list[str]] = defaultdict(list)
    for route in outside(service):
        found[route.methods].append(_path(route))
    return found


def _larger(service: Service[Any]) -> list[int]:
    """Return the most bytes of those routes that take more than a command has, and are let through."""
    most = larger(service.router.routes)
    return [most[route.template] for route in outside(service) if route.template in most]


def outside(service: Service[Any]) -> list[RoutePattern]:
    """Return the routes of a service that somebody from outside may use."""
    return [route for route in routes_of(service.router) if is_outside(route.permission)]


def is_outside(permission: Permission | None) -> bool:
    """Tell whether somebody from outside may use what has this permission."""
    return permission is not None and (permission.scope is None or not scopes_outside().isdisjoint(permission.scopes))


def shadowing(service: Service[Any]) -> list[RoutePattern]:
    """Return the routes from within that the service finds first at a path that one for outside would match as well."""
    routes = routes_of(service.router)
    return [
        route
        for place, route in enumerate(routes)
        if not is_outside(route.permission)
        and any(is_outside(later.permission) and _may_meet(route, later) for later in routes[place + 1 :])
    ]


def _may_meet(one: RoutePattern, other: RoutePattern) -> bool:
    """Tell whether a request may be for both; where one takes the rest of a path whatever it is, it may."""
    if one.methods.isdisjoint(other.methods):
        return False
    for mine, theirs in zip_longest(_segments(one), _segments(other)):
        if _REST in (mine, theirs):
            return True
        if mine != theirs and (_ANY not in (mine, theirs) or None in (mine, theirs)):
            return False
    return True


def _segments(route: RoutePattern) -> list[str]:
    text = _GROUP.sub(lambda group: _REST if group[1] == ".*" else _ANY, route.pattern.pattern)
    return text.strip("^$").split("/")


def _path(route: RoutePattern) -> str:
    """Return the expression of a route's path without the names in it: the same one comes more than once."""
    return _GROUP.sub(r"\1", route.pattern.pattern).strip("^$")


def _said(methods: Collection[str]) -> str:
    return " ".join(sorted({*methods, *(("HEAD",) if "GET" in methods else ())}))
