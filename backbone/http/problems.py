"""Makes problem details (RFC 9457), the one form of every error over HTTP."""

import http
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.types import Scope

from backbone.errors import SlicelineError
from backbone.events.contracts import ContractBroken
from backbone.http.answers import CORRELATION, to_json
from backbone.http.routing import methods_at
from backbone.http.wording import field_name, in_plain_words
from backbone.observing.metrics import LIMITED
from backbone.running.faults import is_locked_out, is_passing, is_unknown
from backbone.running.shares import Full
from backbone.storage.idempotency import KeyReused

PROBLEM_JSON = "application/problem+json"
_MOST_ERRORS = 100
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""
_NO_ROUTE = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.METHOD_NOT_ALLOWED)


class Problem(SlicelineError):
    """Refuses a request; raised anywhere in a route or an effect, it rolls back what was done so far.

    The title names the kind of problem and is the same every time (the problem's `type` is made from it); the detail
    is about this one. Extensions become members of the document; `errors` lists {"field", "message"}.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions
        if field is not None:
            extensions.setdefault("errors", [{"field": field, "message": detail or title}])

    def response(self, scope: Scope) -> Response:
        """Make the document that answers this request."""
        correlationid = scope.get("state", {}).get("correlationid")
        document = {
            "type": type_of(self.title),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance_of(scope),
            "correlationid": correlationid,
            **self.extensions,
        }
        said = {name: value for name, value in document.items() if value not in (None, "")}
        named = {CORRELATION: correlationid} if correlationid else {}
        return Response(to_json(said), self.status, {**named, **self.headers}, PROBLEM_JSON)


def problem_of(error: Exception, scope: Scope) -> Problem:
    """Make the problem a client may know of an error; of an unforeseen one it tells only where to look it up."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _plain(error)
    if isinstance(error, KeyReused):
        detail = f"The key {error.key} was used for another request. Take a new key, or send the same request."
        return Problem(422, "Idempotency key reused", detail, field="Idempotency-Key")
    if isinstance(error, ContractBroken):
        return _broken(error)
    if is_passing(error):
        return unavailable(_advice(error, scope))
    return Problem(500, "Internal error", "We failed. Name the correlation id when you report it.", **_trace())


async def respond(request: Request, error: Exception) -> Response:
    """Answer what FastAPI and Starlette raise (an exception handler)."""
    problem = problem_of(error, request.scope)
    if problem.status in _NO_ROUTE and (methods := methods_at(request.scope)):
        problem.headers["Allow"] = ", ".join(methods)
        if request.method == "OPTIONS":  # RFC 9110 9.3.7: no route of ours has it, every path answers it
            return Response(status_code=204, headers=problem.headers)
    return problem.response(request.scope)


def unavailable(detail: str, **extensions: Any) -> Problem:
    """Make a 503: the same request may succeed in a moment."""
    return Problem(503, "Temporarily unavailable", detail, headers={"Retry-After": "1"}, **extensions)


def too_many(limit: str, detail: str, retry_after: int) -> Problem:
    """Make a 429 for what goes beyond a limit, and count it by the limit's name; `retry_after` are seconds."""
    LIMITED.labels(limit).inc()
    return Problem(429, "Too many requests", detail, headers={"Retry-After": str(retry_after)})


def malformed(detail: str, field: str = "body") -> Problem:
    """Make a 400: not even the form is right."""
    return Problem(400, "Malformed request", detail, field=field)


def unfit(detail: str, wrong: Iterable[tuple[str, str]]) -> Problem:
    """Make a 422 for an event's data, given with the request, that is not as it should be: where, and why."""
    errors = [{"field": f"data.{path}".strip("."), "message": message} for path, message in wrong]
    return Problem(422, "Data does not fit", detail, errors=errors or [{"field": "data", "message": detail}])


def invalid(errors: Sequence[Mapping[str, str]]) -> Problem:
    """Make a 422: the form is right, a value is not."""
    count = f"{len(errors)} fields are" if len(errors) > 1 else "One field is"
    return Problem(422, "Invalid request", f"{count} not acceptable.", errors=list(errors[:_MOST_ERRORS]))


def type_of(title: str) -> str:
    """Make the problem's type, a URI reference that stays the same as long as the title does."""
    return "/problems/" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def instance_of(scope: Scope) -> str:
    """Return the path as it was sent, still percent-encoded, so that it is a URI reference whatever was in it."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.split(b"?", 1)[0].decode("ascii", "replace")


def _advice(error: Exception, scope: Scope) -> str:
    """Say what to do about a passing fault: whoever sends again what may have been done must know of it."""
    if is_locked_out(error):
        return "Somebody else holds what this needs for too long. Nothing was done; send the request again."
    if isinstance(error, Full):
        return "Too much is under way at the moment. Nothing was done; send the request again."
    if not is_unknown(error) or scope["method"] in SAFE:
        return "Something that is needed does not answer at the moment. Send the request again."
    if any(name == b"idempotency-key" for name, _ in scope["headers"]):
        return "Whether this was done is not known. Send it again under the same Idempotency-Key: it is done once."
    return (
        "Whether this was done is not known. Look first, and send it again only if it was not; "
        "with an Idempotency-Key it could be sent again as it is."
    )


def _invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    return invalid([{"field": field_name(each["loc"]), "message": in_plain_words(each)} for each in errors])


def _broken(error: ContractBroken) -> Problem:
    """Make the problem of an event that was not published, nor anything else stored: it names the event's fields."""
    errors = [{"field": path or "data", "message": message} for path, message in error.errors]
    detail = f"We would have said what the contract of {error.type} does not allow. Nothing was done."
    return Problem(500, "Contract broken", detail, errors=errors, **_trace())


def _plain(error: HTTPException) -> Problem:
    phrase = http.HTTPStatus(error.status_code).phrase
    title = phrase[:1] + phrase[1:].lower()
    detail = "" if error.detail.lower() == phrase.lower() else error.detail
    return Problem(error.status_code, title, detail, headers=error.headers)


def _trace() -> dict[str, Any]:
    context = trace.get_current_span().get_span_context()
    return {"trace": f"{context.trace_id:032x}"} if context.is_valid else {}
