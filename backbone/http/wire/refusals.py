"""Answers what is no request, and so never comes to the application."""

import asyncio
from typing import Any, cast

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from backbone.http.cors import Shown
from backbone.http.observing import Correlation, ErrorsAsProblems, RequestMetrics
from backbone.http.problems import Problem, malformed
from backbone.http.wire import framing


def refusing(problem: Problem, app: object) -> ASGIApp:
    """Make an application that answers everything with this problem, counted and shown like any answer of `app`."""

    async def refuse(*_: object) -> None:
        raise problem

    return Correlation(RequestMetrics(Shown(ErrorsAsProblems(refuse), getattr(app, "origins", ()))))


def problem_of(error: httptools.HttpParserError, data: bytes) -> Problem:
    """Return the problem we raised inside the parser, or one for what the parser itself says about the data."""
    said = error.__context__
    if isinstance(said, Problem):
        return said
    if isinstance(error, httptools.HttpParserInvalidMethodError) and framing.is_begun_soundly(data):
        return Problem(501, "Method not implemented", "GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are known here.")
    return malformed(f"This is not HTTP/1.1 as RFC 9112 has it: {said or error}.", "request")


def refused_cycle(connection: HttpToolsProtocol) -> RequestResponseCycle:
    """Make the cycle that answers a request which the connection cannot read, or not to its end."""
    return RequestResponseCycle(
        scope=cast(Any, _scope(connection)),
        transport=connection.transport,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=connection.access_log,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=False,
        on_response=connection.on_response_complete,
    )


def _scope(connection: HttpToolsProtocol) -> Scope:
    """Make a scope of as much as is known of a request that is none."""
    method = connection.parser.get_method()
    known = bool(connection.url) or method == b"HEAD"  # before it knows, the parser calls every method DELETE
    path = connection.url.split(b"?")[0]
    raw_path = path if path[:1] == b"/" else b"/"
    named = {"method": method.decode() if known else "", "path": raw_path.decode("ascii", "replace")}
    return {**connection.scope, "app": connection.app, **named, "raw_path": raw_path, "query_string": b""}
