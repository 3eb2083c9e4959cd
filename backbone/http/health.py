"""What an operator and an orchestrator ask a process: does it live, can it serve, what does it count."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from backbone.database import Database
from backbone.http.context import Ctx
from backbone.http.problems import unavailable
from backbone.service import Context

_PATIENCE = 2.0

router = APIRouter(tags=["operations"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process runs. Restart it when this does not answer."""
    return {"status": "live"}


@router.get("/health/ready", responses={503: {"description": "Not ready; `waiting` says for what"}})
async def ready(context: Ctx) -> dict[str, str]:
    """The process can do all its work: the database answers, and each of its parts runs."""
    if waiting := await _waiting(context):
        raise unavailable("Not ready: " + ", ".join(sorted(waiting)) + ".", waiting=waiting)
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """What the process counts, for Prometheus."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _waiting(context: Context[Any]) -> dict[str, str]:
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
