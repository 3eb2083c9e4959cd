"""Lists jobs for an operator: those that wait, which it does now, and those given up, which it starts anew."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import StringConstraints
from sqlalchemy import ColumnElement, Select, and_, func, select

from backbone.http.commands import Begun
from backbone.http.context import Ctx, Db
from backbone.http.pages import Page, Paging, number_of
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.storage import sql
from backbone.storage.tables import jobs
from backbone.values.fields import Line

# Not the data: it may be a customer's, and this list is looked at by whoever is on call.
_SHOWN = [
    jobs.c[name]
    for name in ("id", "kind", "key", "attempts", "error", "scheduled_at", "first_attempt_at", "due", "parked_at")
]
JobId = Annotated[int, Path(ge=0, le=2**63 - 1, description="The job's id")]
JobKey = Annotated[Line, StringConstraints(max_length=512)]
JobKind = Annotated[Line, StringConstraints(max_length=100)]
State = Literal["waiting", "due", "parked"]
_IN_HAND = and_(jobs.c.lease.is_not(None), jobs.c.due > func.now())
_STATES: dict[State, ColumnElement[bool]] = {
    "waiting": jobs.c.parked_at.is_(None),
    "due": and_(jobs.c.parked_at.is_(None), jobs.c.due <= func.now()),
    "parked": jobs.c.parked_at.is_not(None),
}

router = APIRouter()


@router.get("/jobs", responses={414: {}})
@may("operations.read")
async def list_jobs(
    db: Db,
    page: Paging,
    state: Annotated[State | None, Query(description="Only those; without it, all.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only those of this kind.")] = None,
    key: Annotated[list[JobKey] | None, Query(max_length=100, description="Only those of these keys.")] = None,
) -> dict[str, Any]:
    """List the jobs that are not done, in the order in which they were first scheduled; a parked one is given up.

    A waiting one is `due` when its time has come and nobody has it `in_hand` yet.
    """
    async with db.reading() as connection:
        rows = (await connection.execute(_query(page, state, kind, key))).mappings().all()
    return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))


@router.post("/jobs/{job}/retry", status_code=202, responses={404: {}, 409: {}})
@may("operations.act")
async def retry_job(job: JobId, context: Ctx, _begun: Begun) -> dict[str, int]:
    """Start a parked job anew, its attempts counted from one, once whatever was wrong with it is mended."""
    async with context.turns.of(f"job {job}"), context.database.for_commands.transaction() as tx:
        kind = await sql.JOB_RESTART.fetchval(tx.raw, id=job)
        if kind is None:
            known = await sql.JOB_KIND.fetchval(tx.raw, id=job) is not None
            raise _not_parked(job) if known else _no_job(job)
    context.database.wakeups.committed(published=False, kinds=[kind])
    return {"id": job}


@router.post("/jobs/{job}/run", status_code=202, responses={404: {}, 409: {}})
@may("operations.act")
async def run_job(job: JobId, context: Ctx, _begun: Begun) -> dict[str, int]:
    """Have a waiting job done now, before its time: a timer goes off, an attempt that was put off is made.

    Work that is too early by its own rules puts it off again.
    """
    async with context.turns.of(f"job {job}"), context.database.for_commands.transaction() as tx:
        kind = await sql.JOB_HASTEN.fetchval(tx.raw, id=job)
        if kind is None:
            known = await sql.JOB_KIND.fetchval(tx.raw, id=job) is not None
            raise _not_waiting(job) if known else _no_job(job)
    context.database.wakeups.committed(published=False, kinds=[kind])
    return {"id": job}


def _query(page: Page, state: State | None, kind: str | None, keys: Sequence[str] | None) -> Select[Any]:
    shown = (*_SHOWN, _IN_HAND.label("in_hand"))
    query = select(*shown).where(jobs.c.id > number_of(page.after)).order_by(jobs.c.id).limit(page.limit + 1)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    if keys:
        query = query.where(jobs.c.key.in_(keys))
    return query if state is None else query.where(_STATES[state])


def _not_parked(job: int) -> Problem:
    return Problem(409, "Job not parked", f"Job {job} is not given up: it runs, or will when it is due.")


def _not_waiting(job: int) -> Problem:
    return Problem(409, "Job not waiting", f"Job {job} is in hand at this moment, or given up.")


def _no_job(job: int) -> Problem:
    return Problem(404, "No such job", f"There is no job {job}: it was done, or withdrawn.")
