"""Answers operators and orchestrators: does the process live, can it serve, what does it count, what waits."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from backbone.context import Context
from backbone.http.context import Ctx
from backbone.http.permissions import may, open_to_all
from backbone.http.problems import unavailable
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.running.pulse import describe
from backbone.storage import backlog, gauges
from backbone.storage.backlog import Backlog
from backbone.storage.database import Database

_PATIENCE = 2.0
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}},
}


def routes(kinds: Collection[str], own: Sequence[gauges.Told]) -> APIRouter:
    """Make the routes that tell how a process is, whose service has jobs of these kinds and gauges of its own."""
    router = APIRouter()

    @router.get("/health/live")
    @open_to_all("Whoever keeps the process running asks.")
    async def check_liveness() -> dict[str, str]:
        """The process runs. Restart it when this does not answer."""
        return {"status": "live"}

    @router.get("/health/ready", responses={503: {"description": "Not ready; `waiting` says for what"}})
    @open_to_all("Whoever keeps the process running asks.")
    async def check_readiness(context: Ctx) -> dict[str, str]:
        """The process can do all its work: the database answers, and each of its parts runs.

        It tells of the process alone: whether the work gets done, with whatever is outside, is told by /backlog.
        """
        if waiting := await _waiting(context):
            raise unavailable("Not ready: " + ", ".join(sorted(waiting)) + ".", waiting=waiting)
        return {"status": "ready"}

    @router.get("/metrics", response_class=Response, responses=_METRICS)
    @open_to_all("They count, and name nobody.")
    async def get_metrics(context: Ctx, request: Request) -> Response:
        """Tell Prometheus what the process counts, and how much waits in the service's tables.

        In OpenMetrics' format, where it is asked for, histograms name traces (exemplars).
        """
        database = context.database.for_queries
        waiting = gauges.Gauges(await _backlog(database), kinds, await _numbers(database, own))
        text, content_type = metrics.exposed(request.headers.get("accept", ""), waiting)
        return Response(text, headers={"Content-Type": content_type})

    @router.get("/backlog")
    @may("operations.read")
    async def get_backlog(context: Ctx) -> dict[str, Any]:
        """Tell what waits in the service's tables, since when, and the last error; `needs` says what needs a person.

        A queue that moves needs nobody, however long it is.
        """
        now = await backlog.look(context.database.for_queries)
        return {**asdict(now), "needs": backlog.needs(now)}

    return router


async def _waiting(context: Context[Any]) -> dict[str, str]:
    if context.stopping.is_set():
        return {"process": "stops"}
    waiting = {name: said for name, check in context.checks.items() if (said := check())}
    if said := await _database(context.database):
        waiting["database"] = said
    return waiting


async def _database(database: Database) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE), database.reading() as connection:
            await connection.execute(text("SELECT 1"))
    except TimeoutError:
        return f"does not answer within {_PATIENCE:g} s"
    except Exception as error:  # whatever it is, the answer is "not ready"
        return f"cannot be asked ({type(error).__name__})"
    return None


async def _backlog(database: Database) -> Backlog | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await backlog.look(database)
    except Exception as error:  # whatever it is, what the process counts is still to be had
        logger.warning("the backlog could not be read", action="backlog-unread", error=describe(error))
        return None


async def _numbers(database: Database, own: Sequence[gauges.Told]) -> dict[gauges.Told, Mapping[str, float]]:
    """Read a service's own gauges; one that cannot be read is left out."""
    found: dict[gauges.Told, Mapping[str, float]] = {}
    for each in own:
        try:
            async with asyncio.timeout(_PATIENCE):
                found[each] = await each.read(database)
        except Exception as error:  # whatever it is, all the others are still to be had
            logger.warning("a gauge could not be read", action="gauge-unread", gauge=each.name, error=describe(error))
    return found
