"""Tells what became of events in this service, for whoever has seen them elsewhere."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.consuming import outcomes, sql
from backbone.consuming.handlers import Handlers
from backbone.consuming.outcomes import State
from backbone.http.answers import JSON, to_json
from backbone.http.bodies import takes_up_to
from backbone.http.context import Db
from backbone.http.permissions import may
from backbone.values.fields import WHOLE

_MOST = 500
_MOST_BYTES = 2 * 1024 * 1024
_MOST_JOBS = 1000
Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
Topic = Annotated[str, StringConstraints(max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")]
Number = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1), WHOLE]


class Told(BaseModel):
    """An event by its attributes, and its place in the topics."""

    model_config = ConfigDict(extra="forbid")

    id: Text
    source: Text
    type: Text
    occurrenceid: Text
    correlationid: Text
    topic: Topic
    partition: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1), WHOLE]
    offset: Number


class Asked(BaseModel):
    """Says which events are asked for."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[Told], Field(max_length=_MOST)]


class FaultView(BaseModel):
    """The error of one attempt that failed; of several events tried `together` any may have caused it."""

    model_config = ConfigDict(from_attributes=True)

    error: str
    at: datetime | None
    together: int


class OutcomeView(BaseModel):
    """What became of one event here."""

    model_config = ConfigDict(from_attributes=True)

    state: State
    began_at: datetime | None
    handled_at: datetime | None
    at: datetime | None
    error: str | None
    attempts: int | None
    errors: list[FaultView]


class JobView(BaseModel):
    """A job that what the events belong to has set off, and that is not done."""

    kind: str
    key: str
    attempts: int
    error: str | None
    due: datetime
    first_attempt_at: datetime | None
    parked_at: datetime | None
    correlationid: str
    causationid: str | None


class RetriedView(BaseModel):
    """A job that has ended and took several attempts, with the last error before its end."""

    kind: str
    key: str
    attempts: int
    error: str | None
    first_attempt_at: datetime | None
    ended_at: datetime
    correlationid: str
    causationid: str | None


class Outcomes(BaseModel):
    """What became of the events, in the order in which they were asked for, and of jobs.

    Those that are not done, and those that ended after more than one attempt.
    """

    outcomes: list[OutcomeView]
    jobs: list[JobView]
    retried: list[RetriedView]


def routes(name: str, handlers: Handlers) -> APIRouter:
    """Make the route for what became of events in one service."""
    router = APIRouter()

    @router.post("/outcomes", response_model=Outcomes)
    @may("operations.read")
    @takes_up_to(_MOST_BYTES)
    async def tell_outcomes(body: Asked, db: Db) -> Response:
        """Tell what became of events here: handled and when, parked and why, passed over, or still to come.

        How often one was tried is told as well, with its last errors, and the jobs that the same commands have set off
        and that are not done, or took several attempts. Nothing is changed.
        """
        found = await outcomes.outcomes(db, name, handlers, body.events)
        stories = sorted({each.correlationid for each in body.events})
        jobs = await sql.JOBS_OF_STORIES.fetch(db, stories=stories, most=_MOST_JOBS)
        retried = await sql.RETRIED_OF_STORIES.fetch(db, stories=stories, most=_MOST_JOBS)
        # As the model has it, and not checked against it: who looks at an order of many events asks for thousands.
        told = {"outcomes": found, "jobs": [dict(row) for row in jobs], "retried": [dict(row) for row in retried]}
        return Response(to_json(told), media_type=JSON)

    return router
