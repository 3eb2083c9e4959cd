"""A service with a route that blocks the event loop, which no route should: the watchdog has to end it."""

import time

from fastapi import APIRouter

from backbone.http.permissions import open_to_all
from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings

router = APIRouter()


@router.post("/block")
@open_to_all("It is a test's.")
async def block() -> None:
    """Never answers, and nothing else of this process does from now on."""
    time.sleep(3600)  # noqa: ASYNC251  on purpose


if __name__ == "__main__":
    run(Service(name="blocking", settings=Settings, router=router))
