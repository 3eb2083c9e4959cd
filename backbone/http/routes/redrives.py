"""Begins plans by which parked events are handled again, tells how far they are, and cancels one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from sqlalchemy import select

from backbone.consuming import acts, letters_sql
from backbone.consuming.redrive import OnFailure, Plan, begin
from backbone.http.answers import Answer
from backbone.http.commands import Command
from backbone.http.context import Db
from backbone.http.pages import Paging, number_below, number_of
from backbone.http.permissions import may
from backbone.http.problems import Problem
from backbone.http.routes.selecting import GroupId, KeyText, LetterNumber
from backbone.storage.database import Database, Tx
from backbone.storage.tables import redrive_outcomes, redrives
from backbone.values.fields import given

RedriveId = Annotated[int, Path(ge=0, le=2**63 - 1, description="The redrive's id")]
_WORDS = ("applied", "already-applied", "ignored", "failed", "held", "put-off")


_ONE: list[JsonValue] = [
    *given(letter="integer", key="string", group="string"),
    {"required": ["all"], "properties": {"all": {"const": True}}},
]


class NewRedrive(BaseModel):
    """Says which parked events to handle again, and how."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": _ONE})

    letter: Annotated[LetterNumber | None, Field(description="One, by its number: the first of its key.")] = None
    key: Annotated[KeyText | None, Field(description="All of one key.")] = None
    group: Annotated[
        GroupId | None, Field(description="Those of a group of GET /dead-letters/groups, and what waits behind them.")
    ] = None
    all: Annotated[bool, Field(strict=True, description="All that are parked.")] = False
    dry_run: Annotated[bool, Field(strict=True, description="Only tell what would come of it.")] = False
    rate: Annotated[
        float | None,
        Field(strict=True, ge=0.001, le=100_000, description="At most so many a second."),
    ] = None
    on_failure: Annotated[OnFailure, Field(description="Stop at the first that fails, or go on with other keys.")] = (
        "stop"
    )

    @model_validator(mode="after")
    def _one(self) -> "NewRedrive":
        if sum(each is not None for each in (self.letter, self.key, self.group)) + self.all != 1:
            raise ValueError("Name one of letter, key, group and all")
        return self

    def plan(self) -> Plan:
        """Return the plan."""
        asked = self.model_dump(exclude={"group", "all"})
        return Plan(fingerprint=self.group, **asked)


def routes(name: str) -> APIRouter:
    """Make the routes for the redrives of one service."""
    router = APIRouter()
    _add_commands(router, name)

    @router.get("/redrives")
    @may("operations.read")
    async def list_redrives(db: Db, page: Paging) -> dict[str, Any]:
        """List the redrives, the newest first."""
        query = select(redrives).where(redrives.c.id < number_below(page.after)).order_by(redrives.c.id.desc())
        async with db.reading() as connection:
            rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
        return page.answer([_shown(row) for row in rows], key=lambda row: str(row["id"]))

    @router.get("/redrives/{redrive}", responses={404: {}})
    @may("operations.read")
    async def get_redrive(redrive: RedriveId, db: Db) -> dict[str, Any]:
        """Tell how far a redrive is and what came of its events; of a dry run, what would."""
        return await _report(db, redrive)

    @router.get("/redrives/{redrive}/letters", responses={404: {}})
    @may("operations.read")
    async def list_redriven_letters(redrive: RedriveId, db: Db, page: Paging) -> dict[str, Any]:
        """List what came of each event of a redrive, in the order of their numbers."""
        await _found(db, redrive)
        table = redrive_outcomes
        query = select(table).where(table.c.redrive == redrive, table.c.letter > number_of(page.after))
        async with db.reading() as connection:
            rows = await connection.execute(query.order_by(table.c.letter).limit(page.limit + 1))
        return page.answer([dict(row) for row in rows.mappings()], key=lambda row: str(row["letter"]))

    return router


def _add_commands(router: APIRouter, name: str) -> None:
    @router.post("/redrives", status_code=202, responses={404: {}, 409: {}})
    @may("operations.act")
    async def begin_redrive(body: NewRedrive, command: Command) -> Response:
        """Begin to handle parked events again, each key in its order, in steps of 1, 2, 5, 10 and so on.

        It goes on in the background, whatever ends meanwhile; Location tells how far it is.
        """

        async def effect(tx: Tx) -> Answer:
            await _check_letter(tx, name, body.letter, is_dry=body.dry_run)
            number = await begin(tx, name, body.plan(), command.actor)
            return Answer({"id": number}, 202, {"Location": f"/redrives/{number}"})

        return await command.run(effect)

    @router.post("/redrives/{redrive}/cancel", responses={404: {}, 409: {}})
    @may("operations.act")
    async def cancel_redrive(redrive: RedriveId, command: Command) -> Response:
        """Stop a redrive before its next step; what it has handled stays so."""

        async def effect(tx: Tx) -> Answer:
            await _cancel(tx, redrive, command.actor)
            return Answer({"id": redrive, "state": "cancelled"})

        return await command.run(effect)


async def _cancel(tx: Tx, number: int, actor: str) -> None:
    plan = await letters_sql.REDRIVE_LOCK.fetchrow(tx.raw, id=number)
    if plan is None:
        raise _no_redrive(number)
    if plan["state"] != "running":
        raise Problem(409, "Redrive has ended", f"Redrive {number} is {plan['state']}.")
    await letters_sql.REDRIVE_END.execute(tx.raw, id=number, state="cancelled")
    await acts.note(tx, actor, "cancel-redrive", redrive=number)


async def _check_letter(tx: Tx, name: str, letter: int | None, *, is_dry: bool) -> None:
    """Refuse to begin with a letter that is not there, or behind another of its key."""
    if letter is None:
        return
    if await letters_sql.LETTER_LOCK.fetchrow(tx.raw, consumer=name, letter=letter) is None:
        raise Problem(404, "No such dead letter", f"There is no letter {letter}: it was handled, or discarded.")
    before = await letters_sql.BEFORE_IT.fetchval(tx.raw, consumer=name, letter=letter)
    if before is not None and not is_dry:
        raise Problem(409, "Letter waits", f"Letter {before} of the same key stands before letter {letter}.")


async def _found(db: Database, number: int) -> Any:
    async with db.reading() as connection:
        row = (await connection.execute(select(redrives).where(redrives.c.id == number))).mappings().one_or_none()
    if row is None:
        raise _no_redrive(number)
    return row


async def _report(db: Database, number: int) -> dict[str, Any]:
    row = await _found(db, number)
    counts = await letters_sql.OUTCOME_COUNTS.fetch(db, redrive=number)
    known = {each["outcome"]: each["count"] for each in counts}
    return {**_shown(row), "outcomes": {word: known.get(word, 0) for word in _WORDS}}


def _shown(row: Any) -> dict[str, Any]:
    return {"group" if name == "fingerprint" else name: value for name, value in row.items()}


def _no_redrive(number: int) -> Problem:
    return Problem(404, "No such redrive", f"There is no redrive {number}; GET /redrives lists those there are.")
