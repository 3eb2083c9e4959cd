"""Holds what the OpenAPI documents of all services say alike: problems, headers, tags, and who answers for it."""

from typing import Any

from backbone.http.answers import CORRELATION
from backbone.http.commands import REPLAYED
from backbone.http.problems import PROBLEM_JSON

OPERATIONS = "operations"
"""The tag of what every service has: health, metrics, schemas, parked events and jobs."""

SERVERS = [{"url": "/", "description": "The service that serves this document."}]
CONTACT = {"name": "Sliceline"}
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}

MEANINGS = {
    "400": "Malformed: not even the form is right",
    "401": "No token, or one that is refused",
    "403": "The token is not for this, or a page of elsewhere asks",
    "404": "There is no such thing",
    "409": "Its state does not allow that",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "A field is not acceptable",
    "429": "Too many requests at once, or of one client or principal",
    "500": "We failed",
    "503": "Temporarily unavailable",
}

PROBLEM = {
    "title": "Problem",
    "description": "Problem details, RFC 9457",
    "type": "object",
    "required": ["type", "title", "status", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "correlationid": {"type": "string", "format": "uuid"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
PROBLEM_CONTENT = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}

HEADERS: dict[str, dict[str, Any]] = {
    CORRELATION: {
        "description": "What this request, and everything that it set off, is called in logs and events.",
        "schema": {"type": "string", "format": "uuid"},
    },
    REPLAYED: {
        "description": "The answer was given before, under the same Idempotency-Key. Absent on the first one.",
        "schema": {"type": "string", "const": "true"},
    },
    "Location": {
        "description": "Where to see how it goes on.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "What it takes to be let in (RFC 6750).", "schema": {"type": "string"}},
    "Accept": {"description": "The media type to send.", "schema": {"type": "string"}},
    "Accept-Encoding": {"description": "The content coding to send.", "schema": {"type": "string"}},
}

REFUSING = {
    "401": ("WWW-Authenticate",),
    "415": ("Accept", "Accept-Encoding"),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
"""The headers that come with a problem, by its status."""

TOKEN = "token"  # noqa: S105  what it is called
SECURITY = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the issuer; each operation names the scopes of which it needs one.",
    }
}


def header(name: str) -> dict[str, str]:
    """Make the reference to a header's description."""
    return {"$ref": f"#/components/headers/{name}"}


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Accepted; it goes on.",
        "headers": {"Location": header("Location"), "Retry-After": header("Retry-After")},
    }
}
"""What a route says (`responses=ACCEPTED`) whose command is answered 202 and goes on where its Location points."""
CREATED: dict[int | str, dict[str, Any]] = {
    201: {"description": "Added.", "headers": {"Location": header("Location")}},
    409: {"description": MEANINGS["409"]},
}
"""What a route says that adds something which may be there already."""


def tags(service: str, about: str) -> list[dict[str, str]]:
    """Make the tags of a service's document."""
    return [
        {"name": service, "description": about},
        {"name": OPERATIONS, "description": "What operators and orchestrators ask of every service."},
    ]
