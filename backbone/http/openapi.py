"""The OpenAPI document, made truthful: every answer that an operation can give, errors included."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.http.problems import PROBLEM_JSON

_UNSAFE = ("post", "put", "patch", "delete")
_REPLACED = ("HTTPValidationError", "ValidationError")
_MEANINGS = {
    "400": "Malformed: not even the form is right",
    "404": "There is no such thing",
    "409": "Its state does not allow that",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "A field is not acceptable",
    "429": "Too many requests at once",
    "500": "We failed",
    "503": "Temporarily unavailable",
}
_PROBLEM = {
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
_WITHOUT_NUL = r"^[^\x00]*$"
_CONTENT = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Application(FastAPI):
    """A FastAPI application whose description tells of its problems, with a short way in for its busiest commands."""

    express: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything goes to the express lane first, which sends back to `ordinary` what is not for it."""
        await (self.express or self.ordinary)(scope, receive, send)

    async def ordinary(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own way."""
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            _tell_problems(super().openapi())
        assert self.openapi_schema is not None  # noqa: S101  made by the line above
        return self.openapi_schema


def _tell_problems(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for name in _REPLACED:
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _tell(operation["responses"], _possible(path, method, operation))
            for parameter in operation.get("parameters", []):
                _tell_text(parameter["schema"])
    for schema in schemas.values():
        for member in schema.get("properties", {}).values():
            _tell_text(member)


def _tell(responses: dict[str, Any], possible: set[str]) -> None:
    for status in sorted(possible | {known for known in responses if known[0] in "45"}):
        said = responses.setdefault(status, {"description": _MEANINGS.get(status, "Refused")})
        content = said.get("content", {})
        # 422 comes from FastAPI and describes FastAPI's own form; what a service describes itself stays.
        if status == "422" or not content:
            said["content"] = _CONTENT
        said["description"] = said.get("description") or _MEANINGS.get(status, "Refused")


def _tell_text(schema: dict[str, Any]) -> None:
    """What `limits.Targets` and `bodies` ask of every text."""
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
        found |= {"413", "415", "422"}
        found |= {"409"} if "{" in path else set()
    return found
