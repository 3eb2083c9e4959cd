"""Makes the OpenAPI document truthful: every answer that an operation can give, errors and headers included."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.http.answers import CORRELATION
from backbone.http.commands import REPLAYED
from backbone.http.described import HEADERS, MEANINGS, PROBLEM, PROBLEM_CONTENT, REFUSING, SECURITY, TOKEN, header
from backbone.http.routing import permissions
from backbone.http.tracing import with_sound_trace
from backbone.identity.caller import Permission

_UNSAFE = ("post", "put", "patch", "delete")
_WITHOUT_NUL = r"^[^\x00]*$"
_REFERENCE = re.compile(r'"#/components/(\w+)/([^"]+)"')


class Application(FastAPI):
    """Is a FastAPI application that describes its problems and has a short way in for its busiest commands."""

    express: ASGIApp | None = None
    origins: Sequence[str] = ()
    """Whose pages may read what it answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the express lane first, which sends back to `ordinary` what is not for it."""
        await (self.express or self.ordinary)(scope, receive, send)

    async def ordinary(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer FastAPI's own way."""
        await super().__call__(with_sound_trace(scope), receive, send)

    def openapi(self) -> dict[str, Any]:
        """Make the OpenAPI document, once."""
        if self.openapi_schema is None:
            _complete(super().openapi(), permissions(self))
        assert self.openapi_schema is not None  # noqa: S101  made by the line above
        return self.openapi_schema


def _complete(document: dict[str, Any], permissions: Mapping[tuple[str, str], Permission]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["headers"] = dict(HEADERS)
    components["securitySchemes"] = SECURITY
    schemas["Problem"] = PROBLEM
    for path, method, operation in _operations(document):
        scopes = permissions[path, method.upper()].scopes
        operation["security"] = [{TOKEN: [scope]} for scope in scopes]
        refused = {"401", "403"} if scopes else set()
        _tell_problems(operation["responses"], _possible(path, method, operation) | refused)
        _tell_headers(operation)
        _tell_streams(operation["responses"])
        for parameter in operation.get("parameters", []):
            _tell_text(parameter["schema"])
    for schema in schemas.values():
        for member in schema.get("properties", {}).values():
            _tell_text(member)
    _drop_unused(document)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _tell_problems(responses: dict[str, Any], possible: set[str]) -> None:
    for status in sorted(possible | {known for known in responses if known[0] in "45"}):
        said = responses.setdefault(status, {})
        # 422 comes from FastAPI and describes FastAPI's own form; what a service describes itself stays.
        if status == "422" or not said.get("content"):
            said["content"] = PROBLEM_CONTENT
        said["description"] = said.get("description") or MEANINGS.get(status, "Refused")


def _tell_headers(operation: dict[str, Any]) -> None:
    has_key = any(each["name"].lower() == "idempotency-key" for each in operation.get("parameters", ()))
    for status, said in operation["responses"].items():
        names = [CORRELATION, *REFUSING.get(status, ()), *([REPLAYED] if has_key and status[0] == "2" else ())]
        said["headers"] = {name: header(name) for name in names} | said.get("headers", {})


def _tell_streams(responses: dict[str, Any]) -> None:
    """Describe streams as one long text, as OpenAPI 3.1 has to; FastAPI describes their items, as only 3.2 can."""
    for media in (media for said in responses.values() for media in said.get("content", {}).values()):
        if media.pop("itemSchema", None) is not None:
            media["schema"] = {"type": "string", "description": "Sent piece by piece, while there is more to come."}


def _tell_text(schema: dict[str, Any]) -> None:
    """Tell what `limits.RequestTarget` and `bodies` ask of every text."""
    if schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format"}:
        schema.setdefault("pattern", _WITHOUT_NUL)
    for inner in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        _tell_text(inner)


def _possible(path: str, method: str, operation: dict[str, Any]) -> set[str]:
    found = {"400", "500"}
    if not path.startswith(("/health/", "/metrics")):
        found |= {"429", "503"}
    if "{" in path:
        found.add("404")
    if operation.get("parameters") or "requestBody" in operation:
        found.add("422")
    if method in _UNSAFE:
        found |= {"403", "413", "415", "422"}
        found |= {"409"} if "{" in path else set()
    return found


def _drop_unused(document: dict[str, Any]) -> None:
    """Remove components that nothing refers to: what is replaced above, and what only that referred to."""
    while unused := _unused(document):
        for kind, name in unused:
            del document["components"][kind][name]


def _unused(document: dict[str, Any]) -> set[tuple[str, str]]:
    components = {kind: each for kind, each in document["components"].items() if kind != "securitySchemes"}
    known = {(kind, name) for kind, each in components.items() for name in each}
    return known - set(_REFERENCE.findall(json.dumps(document)))
