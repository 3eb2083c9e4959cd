"""Lists jobs for an operator: those that wait and those given up and parked, which it starts anew."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import StringConstraints
from sqlalchemy import Select, select

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
State = Literal["waiting", "parked"]

router = APIRouter()


@router.get("/jobs", responses={414: {}})
@may("operations.read")
async def list_jobs(
    db: Db,
    page: Paging,
    state: Annotated[State | None, Query(description="Only those; without it, all.")] = None,
    key: Annotated[list[JobKey] | None, Query(max_length=100, description="Only those of these keys.")] = None,
) -> dict[str, Any]:
    """List the jobs that are not done, in the order in which they were first scheduled; a parked one is given up."""
    async with db.reading() as connection:
        rows = (await connection.execute(_query(page, state, key))).mappings().all()
    return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))


@router.post("/jobs/{job}/retry", status_code=202, responses={404: {}, 409: {}})
@may("operations.act")
async def retry_job(job: JobId, context: Ctx, _begun: Begun) -> dict[str, int]:
    """Start a parked job anew, its attempts counted from one, once whatever was wrong with it is mended."""
    async with context.turns.of(f"job {job}"), context.database.for_commands.transaction() as tx:
        kind = await sql.JOB_RESTART.fetchval(tx.raw, id=job)
        if kind is None:
            raise _refusal(job, known=await sql.JOB_KIND.fetchval(tx.raw, id=job) is not None)
    context.database.wakeups.committed(published=False, kinds=[kind])
    return {"id": job}


def _query(page: Page, state: State | None, keys: Sequence[str] | None) -> Select[Any]:
    query = select(*_SHOWN).where(jobs.c.id > number_of(page.after)).order_by(jobs.c.id).limit(page.limit + 1)
    if keys:
        query = query.where(jobs.c.key.in_(keys))
    if state is None:
        return query
    return query.where(jobs.c.parked_at.is_not(None) if state == "parked" else jobs.c.parked_at.is_(None))


def _refusal(job: int, *, known: bool) -> Problem:
    if known:
        return Problem(409, "Job not parked", f"Job {job} is not given up: it runs, or will when it is due.")
    return Problem(404, "No such job", f"There is no job {job}: it was done, or withdrawn.")
