"""Makes the FastAPI application that every service is."""

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from backbone.context import Context
from backbone.errors import SlicelineError
from backbone.http.auditing import Audited
from backbone.http.bodies import Bodies, larger
from backbone.http.browsers import OwnPages, Unkept
from backbone.http.cors import Cors
from backbone.http.described import CONTACT, LICENSE, OPERATIONS, SERVERS, tags
from backbone.http.doors import Doors
from backbone.http.express import Express
from backbone.http.heads import Heads
from backbone.http.limits import InFlight, RequestTarget
from backbone.http.observing import Correlation, ErrorsAsProblems, RequestMetrics
from backbone.http.openapi import Application
from backbone.http.permissions import open_to_all, said_at
from backbone.http.problems import respond
from backbone.http.rates import Rates
from backbone.http.routes import (
    audit,
    data_keys,
    dead_letters,
    docs,
    front_door,
    handled,
    health,
    jobs,
    kinds,
    outcomes,
    pauses,
    places,
    redrives,
    refused_events,
    replays,
    samples,
    schemas,
    state,
)
from backbone.http.routing import include, undeclared
from backbone.service import Service
from backbone.version import VERSION


def create_application(service: Service[Any], context: Context[Any]) -> Application:
    """Make the application: the service's own routes, for the role `api`, and those every process has."""
    operations = _operations(service)
    rates = Rates(context.settings)
    application = Application(
        title=f"Sliceline {service.name}",
        description=f"{service.about} Every error is a problem document (RFC 9457).",
        version=VERSION,
        contact=CONTACT,
        license_info=LICENSE,
        servers=SERVERS,
        openapi_tags=tags(service.name, service.about),
        generate_unique_id_function=_operation_id,
        middleware=_stack(context, rates, [service.router, *operations]),
        exception_handlers={HTTPException: respond, RequestValidationError: respond},
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry=_TELEMETRY,
    )
    for each in iter_route_contexts(application.routes):
        if each.endpoint is not None:
            open_to_all("It describes the API.")(each.endpoint)
    application.state.context = context
    application.origins = context.settings.origins
    if context.settings.has_role("api"):
        include(application, service.router, service.name)
        lanes = {lane: said_at(service.router, lane.path) for lane in service.grouped}
        application.express = Express(application.ordinary, lanes, context, rates)
    for router in operations:
        include(application, router, OPERATIONS)
    if routes := undeclared(application):
        raise Undeclared(service.name, routes)
    return application


class Undeclared(SlicelineError):
    """Nobody has said who may use a route."""

    def __init__(self, service: str, routes: Sequence[str]) -> None:
        super().__init__(f"{service}: say with @may(scope) or @open_to_all(why) who may use {', '.join(routes)}.")


def _operations(service: Service[Any]) -> list[APIRouter]:
    """Make the routers that every process has."""
    return [
        front_door.routes(service.name, service.about),
        health.routes(service.jobs, service.gauges),
        schemas.routes(service.name),
        kinds.routes(service.problems),
        dead_letters.routes(service.name, service.handlers),
        outcomes.routes(service.name, service.handlers),
        redrives.routes(service.name),
        places.routes(service.name),
        pauses.routes(service.name, service.handlers, service.jobs),
        replays.routes(service.name, service.handlers, service.jobs),
        state.routes(service.name, service.rebuilds),
        samples.routes(service.publishes),
        handled.router,
        data_keys.router,
        audit.router,
        refused_events.router,
        jobs.router,
        docs.router,
    ]


def _stack(context: Context[Any], rates: Rates, routers: Iterable[APIRouter]) -> list[Middleware]:
    """List the middleware from the outside in; each one relies on those before it."""
    origins = context.settings.origins
    return [
        Middleware(Correlation),
        Middleware(RequestMetrics),
        Middleware(Unkept),
        *([Middleware(Cors, origins=origins)] if origins else []),
        Middleware(Audited, context=context),
        Middleware(ErrorsAsProblems),
        Middleware(OwnPages, origins=origins),
        Middleware(InFlight, settings=context.settings, rates=rates),
        Middleware(RequestTarget),
        Middleware(Doors, context=context, rates=rates),
        Middleware(Bodies, larger=larger(route for each in routers for route in each.routes)),
        Middleware(Heads),
    ]


def _operation_id(route: APIRoute) -> str:
    """Name an operation, and so a generated client's method, after its function."""
    return route.name


def _is_operation(scope: MutableMapping[str, Any]) -> bool:
    return str(scope["path"]).startswith(("/health/", "/metrics"))


# FastAPI's own spans; metrics are Prometheus's, logs are ours, and a span per dependency would only be noise.
_TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": _is_operation,
}
