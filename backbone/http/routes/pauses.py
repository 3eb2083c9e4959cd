"""Pauses the consumer, a key or a kind of job, and lets it go on."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import select

from backbone.consuming import pausing
from backbone.consuming.handlers import Handlers, topics_of
from backbone.consuming.pausing import Wanted
from backbone.consuming.redrive import begin_at_once, go_on
from backbone.events.buses import EVERYBODY
from backbone.http.answers import Answer
from backbone.http.commands import Command
from backbone.http.context import Db
from backbone.http.pages import Paging, number_of
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.storage.database import Tx
from backbone.storage.tables import pauses
from backbone.values.fields import Line

_TURN = "pauses"
"""They may wait for a batch, or a redrive, that has the key; one of them is enough to wait."""
PauseId = Annotated[int, Path(ge=0, le=2**63 - 1, description="The pause's id")]
Ended = Annotated[bool, Query(description="true: those that have ended; otherwise those that last.")]


class Pause(BaseModel):
    """Says what to pause, and why."""

    model_config = ConfigDict(extra="forbid")

    what: Literal["consumer", "key", "job"]
    name: Annotated[
        Line,
        StringConstraints(min_length=1, max_length=512),
        Field(description="The service itself, for its consumer; the key; or the kind of job."),
    ]
    reason: Annotated[Line, StringConstraints(min_length=1, max_length=500)]


@dataclass(frozen=True)
class _Service:
    """Describes the service whose parts are paused: what it is called, what it does on events, and its kinds of job."""

    name: str
    handlers: Handlers
    kinds: Collection[str]

    @property
    def topics(self) -> list[str]:
        """Those that it reads by name."""
        return [topic for topic in topics_of(self.handlers) if EVERYBODY not in topic]

    def check(self, wanted: Wanted) -> None:
        """Refuse what nothing here is called. A key may be any: its events may be still to come."""
        consumers = [self.name] if self.handlers else []
        known = {
            pausing.CONSUMER: consumers,
            pausing.KEY: [wanted.name] if consumers else [],
            pausing.JOB: self.kinds,
        }[wanted.what]
        if wanted.name not in known:
            others = f"There is {', '.join(sorted(known))}." if known else "It has none."
            detail = f"{self.name} has no {wanted.what} {wanted.name}. {others}"
            raise Problem(422, "Nothing of this name", detail, field="name")


def routes(name: str, handlers: Handlers, kinds: Collection[str]) -> APIRouter:
    """Make the routes that pause parts of one service."""
    router, service = APIRouter(), _Service(name, handlers, kinds)

    @router.get("/pauses")
    @may("operations.read")
    async def list_pauses(db: Db, page: Paging, ended: Ended = False) -> dict[str, Any]:
        """List what is paused: since when, by whom and why; or what was, and who let it go on."""
        is_asked = pauses.c.resumed_at.is_not(None) if ended else pauses.c.resumed_at.is_(None)
        query = select(pauses).where(is_asked, pauses.c.id > number_of(page.after)).order_by(pauses.c.id)
        async with db.reading() as connection:
            rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
        return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))

    @router.post("/pauses", status_code=201, response_model=dict[str, Any], responses={409: {}})
    @may("operations.act")
    async def begin_pause(body: Pause, command: Command) -> Response:
        """Pause the consumer, one key of it, or one kind of job, in all processes, until somebody resumes it.

        What is in hand at this moment still ends. A key's events wait behind it, in order; all others flow on.
        """
        return await _pause(service, Wanted(body.what, body.name, body.reason), command)

    @router.delete("/pauses/{pause_id}", response_model=dict[str, Any], responses={404: {}})
    @may("operations.act")
    async def end_pause(pause_id: PauseId, command: Command) -> Response:
        """Let it go on. What waited behind a key is handled now, in order."""
        return await _resume(service, pause_id, command)

    return router


async def _pause(service: _Service, wanted: Wanted, command: Command) -> Response:
    service.check(wanted)
    begun: list[asyncpg.Record] = []

    async def effect(tx: Tx) -> Answer:
        made = await pausing.pause(tx, service.name, service.topics, wanted, by=command.actor)
        if made is None:
            raise await _paused_before(tx, wanted)
        begun.append(made)
        return Answer(dict(made), 201, {"Location": f"/pauses/{made['id']}"})

    answer = await command.run(effect, turn=_TURN)
    for made in begun:  # none when this request was sent before and is only answered again
        pausing.tell(command.context.database, made, "paused", by=command.actor)
    return answer


async def _resume(service: _Service, pause_id: int, command: Command) -> Response:
    over: list[asyncpg.Record] = []
    plans: list[int | None] = []

    async def effect(tx: Tx) -> Answer:
        ended = await pausing.resume(tx, service.name, pause_id, by=command.actor)
        if ended is None:
            raise Problem(404, "No such pause", f"There is no pause {pause_id}, or it has ended.")
        over.append(ended)
        if ended["what"] == pausing.KEY:
            plans.append(await begin_at_once(tx, service.name, ended["name"], command.actor))
        return Answer(dict(ended))

    answer = await command.run(effect, turn=_TURN)
    for ended in over:
        pausing.tell(command.context.database, ended, "resumed", by=command.actor)
    for plan in plans:
        if plan is not None:
            await go_on(command.context.database, service.name, service.handlers, plan)
    return answer


async def _paused_before(tx: Tx, wanted: Wanted) -> Problem:
    found = await pausing.lasting(tx, wanted)
    since = f"since {found['paused_at']:%Y-%m-%d %H:%M:%SZ} by {found['paused_by']}" if found else "by now"
    return Problem(409, "Already paused", f"The {wanted.what} {wanted.name} is paused {since}.")
