"""Gives routes the context of their process."""

from typing import Annotated, Any

from fastapi import Depends, Request

from backbone.context import Context
from backbone.storage.database import Database


async def context_of(request: Request) -> Context[Any]:
    """Return the context of the process that serves this request."""
    context: Context[Any] = request.app.state.context
    return context


async def _database_of(request: Request) -> Database:
    return (await context_of(request)).database.for_queries


Ctx = Annotated[Context[Any], Depends(context_of)]
Db = Annotated[Database, Depends(_database_of)]
