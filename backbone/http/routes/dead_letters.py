"""Shows the events that could not be handled, one or by their causes, gives them up, takes that back, and edits one."""

from typing import Annotated, Any, TypeVar

import asyncpg
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from sqlalchemy import ColumnElement, Table, func, select

from backbone.consuming import discarding, editing, letters, reproducing
from backbone.consuming.discarding import Which
from backbone.consuming.handlers import Handlers
from backbone.consuming.redrive import begin_at_once, begin_behind, go_on, redrive
from backbone.http.answers import Answer
from backbone.http.commands import Begun, Command, CommandRequest, KeylessCommand
from backbone.http.context import Db
from backbone.http.pages import Page, Paging, number_below, number_of
from backbone.http.permissions import may
from backbone.http.problems import Problem, unfit
from backbone.http.routes.archived import ArchivedRecord
from backbone.http.routes.selecting import GroupId, KeyText, Selection
from backbone.storage.database import Database, Tx
from backbone.storage.tables import acts, dead_letters, discarded_letters
from backbone.values.fields import Line

# Neither headers nor value: they may carry a customer's data, and these lists are looked at by whoever is on call.
_SHOWN = ("id", "consumer", "topic", "partition", "offset", "key", "type", "error", "parked_at", "attempts", "edit")
_SHOWN_OF_DISCARDED = (*_SHOWN, "discarded_at", "discarded_by", "reason")

T = TypeVar("T")
LetterId = Annotated[int, Path(ge=0, le=2**63 - 1, description="The dead letter's id")]
Reason = Annotated[Line, StringConstraints(min_length=1, max_length=500)]
OfKey = Annotated[KeyText | None, Query(description="Only those of this key.")]
OfGroup = Annotated[GroupId | None, Query(description="Only those that failed for the reason of this group.")]


class Redrive(BaseModel):
    """Says which events to try again."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[KeyText | None, Field(description="Those of one key; null: all of them.")] = None


class Discard(BaseModel):
    """Says why an event is given up."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class DiscardMany(Selection):
    """Says which events are given up, and why."""

    reason: Reason


class Earlier(BaseModel):
    """Holds what an archive has of the events before a parked one on its key, the oldest first."""

    model_config = ConfigDict(extra="forbid")

    before: Annotated[list[ArchivedRecord], Field(max_length=100)]


class Edit(BaseModel):
    """Says what the event's data is to be instead, and why."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[dict[str, JsonValue], Field(description="All of the data, as it is to be handled.")]
    reason: Reason


def routes(name: str, handlers: Handlers) -> APIRouter:
    """Make the routes for the dead letters of one service."""
    router = APIRouter()
    for add in (_add_lists, _add_pages, _add_redrive, _add_discarding, _add_restoring, _add_editing):
        add(router, name, handlers)
    return router


def _add_lists(router: APIRouter, name: str, _: Handlers) -> None:
    @router.get("/dead-letters")
    @may("operations.read")
    async def list_dead_letters(db: Db, page: Paging, key: OfKey = None, group: OfGroup = None) -> dict[str, Any]:
        """Parked events, oldest first. Those of a key wait behind its first one, which alone has an `error`."""
        return await _listed(db, page, dead_letters, _SHOWN, key, group)

    @router.get("/dead-letters/discarded")
    @may("operations.read")
    async def list_discarded_letters(db: Db, page: Paging, key: OfKey = None, group: OfGroup = None) -> dict[str, Any]:
        """List the events that were given up: by whom, when and why."""
        return await _listed(db, page, discarded_letters, _SHOWN_OF_DISCARDED, key, group)

    @router.get("/dead-letters/groups")
    @may("operations.read")
    async def list_dead_letter_groups(db: Db) -> dict[str, Any]:
        """Group the parked events by what went wrong: the error's type, our first line in it, its words without ids.

        Each group tells how many there are, since when and until when, of how many keys, and how many events are held
        behind them. At most two hundred, the largest first.
        """
        return {"items": await letters.groups(db, name)}

    @router.get("/acts")
    @may("operations.read")
    async def list_acts(db: Db, page: Paging) -> dict[str, Any]:
        """List what operators did to parked events: who, when and what, newest first."""
        query = select(acts).where(acts.c.id < number_below(page.after)).order_by(acts.c.id.desc())
        async with db.reading() as connection:
            rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
        return page.answer([letters.act_shown(row) for row in rows], key=lambda row: str(row["id"]))


def _add_pages(router: APIRouter, name: str, handlers: Handlers) -> None:
    @router.get("/dead-letters/{letter:int}", responses={404: {}})
    @may("operations.read")
    async def get_dead_letter(letter: LetterId, db: Db) -> dict[str, Any]:
        """Tell all there is to know of one parked event. Its payload may hold a customer's data.

        `failing` names the places in the data that are wrong; `reads_now` says whether it could be read by now.
        """
        return _there(await letters.page(db, name, handlers, letter), letter)

    @router.get("/dead-letters/{letter}/reproduction", responses={404: {}})
    @may("operations.read")
    async def get_dead_letter_reproduction(letter: LetterId, db: Db) -> dict[str, Any]:
        """Give what it takes to see an event fail elsewhere: it, its key's state, personal data replaced."""
        return _there(await reproducing.material(db, name, letter), letter)

    @router.post("/dead-letters/{letter}/reproduction", responses={404: {}})
    @may("operations.read")
    async def make_dead_letter_reproduction(letter: LetterId, body: Earlier, db: Db) -> dict[str, Any]:
        """Give the same with these events before it, of which the service itself knows only those it has not handled.

        Nothing is changed; personal data is replaced in them as in the rest.
        """
        before = [each.record() for each in body.before]
        return _there(await reproducing.material(db, name, letter, before), letter)


def _add_redrive(router: APIRouter, name: str, handlers: Handlers) -> None:
    @router.post("/dead-letters/redrive")
    @may("operations.act")
    async def redrive_dead_letters(body: Redrive, command: KeylessCommand, _begun: Begun) -> dict[str, int]:
        """Try parked events again, in order; tells how many were handled. What fails again stays parked.

        For many of them, or by a plan: POST /redrives.
        """
        database, actor = command.context.database, command.actor
        return {"handled": await redrive(database, name, handlers, body.key, actor=actor)}


def _add_discarding(router: APIRouter, name: str, handlers: Handlers) -> None:
    @router.post("/dead-letters/{letter}/discard", responses={404: {}})
    @may("operations.act")
    async def discard_dead_letter(letter: LetterId, body: Discard, command: Command) -> Response:
        """Give up a parked event that nothing can mend. It is kept, with who and why; its key goes on in order."""
        discarded = _Discarded(name, Which(letter=letter), command, body.reason)
        answer = await command.run(discarded.one)
        discarded.tell()
        if discarded.plan is not None:
            await go_on(command.context.database, name, handlers, discarded.plan)
        return answer

    @router.post("/dead-letters/discard", response_model=dict[str, int | None], responses={404: {}})
    @may("operations.act")
    async def discard_dead_letters(body: DiscardMany, command: Command) -> Response:
        """Give up one parked event, all of a key or those of a group, 5,000 at once; tells how many.

        Where it tells 5,000 there may be more: the same again, under another Idempotency-Key, gives up the next ones.
        What waited behind them goes on in the background; `redrive` names the plan, null where nothing waited.
        """
        discarded = _Discarded(name, body.which(), command, body.reason)
        answer = await command.run(discarded.many)
        discarded.tell_many()
        return answer


class _Discarded:
    """Discards letters in a command's transaction; none are `gone` when the command is only answered again."""

    def __init__(self, name: str, which: Which, command: CommandRequest, reason: str) -> None:
        self.gone: list[asyncpg.Record] = []
        self.plan: int | None = None
        self._name = name
        self._which = which
        self._actor = command.actor
        self._reason = reason

    async def one(self, tx: Tx) -> Answer:
        await self._discard(tx)
        gone = _there(next(iter(self.gone), None), self._which.letter)
        self.plan = await begin_at_once(tx, self._name, gone["key"], self._actor)
        return Answer({name: gone[name] for name in ("id", "topic", "key")})

    async def many(self, tx: Tx) -> Answer:
        await self._discard(tx)
        if not self.gone:
            detail = "None is parked: it was handled, or discarded. GET /dead-letters lists what is."
            raise Problem(404, "No such dead letter", detail)
        keys = await discarding.behind(tx, self._name, self._which, self.gone)
        plan = await begin_behind(tx, self._name, keys, self._actor)
        return Answer({"discarded": len(self.gone), "redrive": plan})

    async def _discard(self, tx: Tx) -> None:
        given = {"actor": self._actor, "reason": self._reason}
        self.gone = await discarding.discard(tx, self._name, self._which, **given)

    def tell(self) -> None:
        for gone in self.gone:
            discarding.tell(gone, by=self._actor, reason=self._reason)

    def tell_many(self) -> None:
        if self.gone:
            discarding.tell_many(len(self.gone), self._which, by=self._actor, reason=self._reason)


def _add_restoring(router: APIRouter, name: str, _: Handlers) -> None:
    @router.post("/dead-letters/restore", response_model=dict[str, int], responses={404: {}})
    @may("operations.act")
    async def restore_dead_letters(body: Selection, command: Command) -> Response:
        """Put discarded events back to where they stood, their keys parked, 5,000 at once; tells how many.

        Where it tells 5,000 there may be more: the same again, under another Idempotency-Key, restores the next ones.
        Later events of their keys may have been handled since.
        """

        async def effect(tx: Tx) -> Answer:
            back = await discarding.restore(tx, name, body.which(), actor=command.actor)
            if not back:
                detail = "None is discarded: it was restored or purged. GET /dead-letters/discarded lists what is."
                raise Problem(404, "No such discarded letter", detail)
            return Answer({"restored": len(back)})

        return await command.run(effect)


def _add_editing(router: APIRouter, name: str, handlers: Handlers) -> None:
    @router.post("/dead-letters/{letter}/edit", responses={404: {}, 409: {}})
    @may("operations.edit")
    async def edit_dead_letter(letter: LetterId, body: Edit, command: Command) -> Response:
        """Put a copy with other data in a parked event's place. The original is kept; it is handled as the copy says.

        Only where SLICELINE_EDIT_DEAD_LETTERS is on, and the data fits its contract. Answers with the difference.
        """
        if not command.context.settings.edit_dead_letters:
            raise Problem(409, "Editing is off", "SLICELINE_EDIT_DEAD_LETTERS=true lets events be edited.")

        async def effect(tx: Tx) -> Answer:
            given = {"actor": command.actor, "reason": body.reason}
            try:
                difference = await editing.edit(tx, name, handlers, letter, body.data, **given)
            except editing.DoesNotFit as error:
                raise unfit(str(error), error.paths) from error
            return Answer({"id": letter, "diff": _there(difference, letter)})

        return await command.run(effect)


def _there(found: T | None, letter: int | None) -> T:
    """Return what was found of a letter. Raises Problem where there is no such letter."""
    if found is None:
        raise Problem(404, "No such dead letter", f"There is no letter {letter}: it was handled, or discarded.")
    return found


async def _listed(
    db: Database, page: Page, table: Table, shown: tuple[str, ...], key: str | None, group: str | None
) -> dict[str, Any]:
    of_group: ColumnElement[str] = func.coalesce(table.c.fingerprint, func.left(func.md5(table.c.error), 12))
    query = select(*(table.c[name] for name in shown), of_group.label("group"))
    query = query.where(table.c.id > number_of(page.after)).order_by(table.c.id)
    if key is not None:
        query = query.where(table.c.key == key)
    if group is not None:
        query = query.where(table.c.error.is_not(None), of_group == group)
    async with db.reading() as connection:
        rows = (await connection.execute(query.limit(page.limit + 1))).mappings().all()
    return page.answer([dict(row) for row in rows], key=lambda row: str(row["id"]))
