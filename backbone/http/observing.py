"""Gives every request a correlation id, counts it in the metrics, and makes its error a problem document."""

import asyncio
import time
from typing import Any
from uuid import UUID

import structlog
from opentelemetry import trace
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.context import Context
from backbone.http.answers import CORRELATION
from backbone.http.problems import problem_of
from backbone.http.routing import template_of
from backbone.ids import new_id
from backbone.observing.logs import logger
from backbone.observing.metrics import exemplar_of
from backbone.observing.telemetry import traceparent_of
from backbone.running.faults import CutOff

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

requests = Counter("sliceline_http_requests_total", "Requests answered", ["method", "route", "status"])
durations = Histogram("sliceline_http_request_seconds", "Until the answer began", ["method", "route"])


class Correlation:
    """ASGI: takes the client's X-Correlation-Id (a UUID; anything else is replaced by a new one) and answers it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put `correlationid` into the request's state and the log's context."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlationid = _uuid(Headers(scope=scope).get(CORRELATION)) or new_id()
        scope.setdefault("state", {})["correlationid"] = correlationid

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and CORRELATION not in Headers(raw=message["headers"]):
                header = (CORRELATION.lower().encode(), correlationid.encode())
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        with structlog.contextvars.bound_contextvars(correlationid=correlationid):
            await self.app(scope, receive, send_with_id)


class RequestMetrics:
    """ASGI: counts and times requests by route, never by path: a path would make a time series per order."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure until the answer begins, so that a stream counts like any other."""
        began = time.perf_counter()

        async def measure(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "OTHER"
                route = template_of(scope)
                requests.labels(method, route, message["status"]).inc()
                exemplar = exemplar_of(traceparent_of())
                durations.labels(method, route).observe(time.perf_counter() - began, exemplar)
            await send(message)

        await self.app(scope, receive, measure)


class ErrorsAsProblems:
    """ASGI: whatever is raised below becomes a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an error, unless an answer has begun: then the error goes on, and the server hangs up."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            pass
        except (Exception, asyncio.CancelledError) as error:
            if started or scope["type"] != "http":
                raise
            scope.setdefault("state", {})["cut_off"] = isinstance(error, asyncio.CancelledError)
            await refuse(answerable(error, scope["app"].state.context), scope, receive, send)


def answerable(error: BaseException, context: Context[Any]) -> Exception:
    """Return the error to answer with; a request cancelled while the process stops is answered as unavailable.

    Raises any other cancellation again.
    """
    if isinstance(error, Exception):
        return error
    if context.stopping.is_set():
        return CutOff()
    raise error


async def refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> int:
    """Answer with the problem that an error is to a client, and log what is our fault; return its status."""
    problem = problem_of(error, scope)
    if problem.status >= 500 and problem is not error:
        trace.get_current_span().record_exception(error)
        logger.error(
            "a request failed",
            action="request-failed",
            method=scope["method"],
            path=scope["path"],
            status=problem.status,
            exc_info=error if problem.status == 500 else None,
            error=type(error).__name__,
        )
    await problem.response(scope)(scope, receive, send)
    return problem.status


def _uuid(given: str | None) -> str | None:
    try:
        return str(UUID(given)) if given else None
    except ValueError:
        return None
