"""Rules over HTTP: make, change, switch and delete them, look at what became of them, and try them out."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Response

from backbone.decision import Decision
from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.commands import CommandRequest
from backbone.http.pages import number_of
from backbone.http.permissions import may
from backbone.ids import new_id
from backbone.patterns.parsing import parse
from backbone.patterns.reasons import why_not
from backbone.storage.database import Database, Tx
from backbone.values.fields import Key, Name
from services.router import decisions, store
from services.router.bodies import (
    ChangedRule,
    Outcome,
    ReasonView,
    RuleBody,
    RulePage,
    RuleView,
    Trial,
    Troubles,
    TroubleView,
    VersionPage,
    VersionView,
    shown,
)
from services.router.decisions import BadRule, Change, Outdated, Rule
from services.router.reach import reach
from services.router.shaping import shaped

router = APIRouter()
T = TypeVar("T")

PROBLEMS = {
    "No such rule": "No rule has this id, or it was deleted; its versions are still there.",
    "Unsound rule": "The rule could do nothing, or more than it says; `errors` names the place.",
    "Name taken": "Another rule of the same bus has this name.",
    "Rule has changed": "Somebody else has changed the rule since; look at it again.",
}

RuleId = Annotated[Key, Path(description="The rule's id")]


@router.post("/rules", status_code=201, response_model=RuleView, responses={409: {}})
@may("rules.write")
async def create_rule(body: RuleBody, command: Command) -> Response:
    """Make a rule. It looks at events from the next moment on."""

    async def effect(tx: Tx) -> Answer:
        decision = _decided(lambda: decisions.create(new_id(), body.content(), reach(), command.actor, tx.now))
        await _save(tx, decision, Change.CREATED)
        return Answer(shown(decision.state), 201, {"Location": f"/rules/{decision.state.id}"})

    return await command.run(effect)


@router.get("/rules", response_model=RulePage)
@may("rules.read")
async def list_rules(
    db: Db, page: Paging, bus: Annotated[Name | None, Query(description="Only rules of this bus.")] = None
) -> Any:
    """Rules, the oldest first."""
    return page.answer([shown(each) for each in await store.list_page(db, page, bus)], key=lambda rule: rule.id)


@router.post("/rules/test", response_model=Outcome, responses={404: {}})
@may("rules.read")
async def test_rule(body: Trial, db: Db) -> Any:
    """Hold an event against a rule or a pattern: does it match, and if not, why. Nothing is sent."""
    rule = await _known(db, body.rule) if body.rule is not None else None
    pattern = parse(rule.content.pattern) if rule else _decided(lambda: decisions.pattern_of(body.pattern))
    event: dict[str, Any] = body.event
    found = await asyncio.to_thread(why_not, pattern, event)  # many alternatives with long arrays take their time
    reasons = [ReasonView.model_validate(each) for each in found]
    targets = rule.content.targets if rule and not reasons else ()
    return Outcome(matches=not reasons, reasons=reasons, inputs=[shaped(each.input, event) for each in targets])


@router.get("/rules/{rule}", response_model=RuleView)
@may("rules.read")
async def get_rule(rule: RuleId, db: Db) -> Any:
    """One rule."""
    return shown(await _known(db, rule))


@router.put("/rules/{rule}", response_model=RuleView, responses={409: {}})
@may("rules.write")
async def change_rule(rule: RuleId, body: ChangedRule, command: Command) -> Response:
    """Say anew what a rule says. The same again is no new version."""

    def decide(known: Rule, tx: Tx) -> Decision[Rule]:
        return decisions.change(known, body.content(), body.version, reach(), command.actor, tx.now)

    return await _change(command, rule, Change.CHANGED, decide)


@router.post("/rules/{rule}/enable", response_model=RuleView)
@may("rules.write")
async def enable_rule(rule: RuleId, command: Command) -> Response:
    """Have a rule work."""
    return await _switch(command, rule, Change.ENABLED)


@router.post("/rules/{rule}/disable", response_model=RuleView)
@may("rules.write")
async def disable_rule(rule: RuleId, command: Command) -> Response:
    """Have a rule rest: it stays as it is and looks at nothing."""
    return await _switch(command, rule, Change.DISABLED)


@router.delete("/rules/{rule}", status_code=204)
@may("rules.write")
async def delete_rule(rule: RuleId, command: Command) -> Response:
    """Take a rule away for good. Its versions are kept."""

    async def effect(tx: Tx) -> Answer:
        known = await _locked(tx, rule)
        decision = decisions.delete(known, command.actor, tx.now)
        await store.delete(tx, decision.state)
        tx.apply(decision, key=rule)
        return Answer(None, 204)

    return await command.run(effect)


@router.get("/rules/{rule}/versions", response_model=VersionPage)
@may("rules.read")
async def list_rule_versions(rule: RuleId, db: Db, page: Paging) -> Any:
    """Every change of a rule, the oldest first: who made it, when, and what the rule said from then on."""
    found = await store.list_versions(db, rule, page.limit, number_of(page.after))
    if not found and page.after is None:
        raise _unknown(rule)
    versions = [VersionView.model_validate(each, from_attributes=True) for each in found]
    return page.answer(versions, key=lambda each: str(each.version))


@router.get("/rules/{rule}/troubles", response_model=Troubles)
@may("rules.read")
async def list_rule_troubles(rule: RuleId, db: Db) -> Any:
    """What a rule could not do: loops that were cut, and events too large for what it makes of them."""
    await _known(db, rule)
    found = await store.list_troubles(db, rule)
    return Troubles(items=[TroubleView.model_validate(each) for each in found])


Decide = Callable[[Rule, Tx], Decision[Rule]]


async def _switch(command: CommandRequest, rule: str, change: Change) -> Response:
    def decide(known: Rule, tx: Tx) -> Decision[Rule]:
        return decisions.switch(known, change is Change.ENABLED, command.actor, tx.now)

    return await _change(command, rule, change, decide)


async def _change(command: CommandRequest, rule: str, change: Change, decide: Decide) -> Response:
    async def effect(tx: Tx) -> Answer:
        known = await _locked(tx, rule)
        decision = _decided(lambda: decide(known, tx))
        if decision.state != known:
            await _save(tx, decision, change)
        return Answer(shown(decision.state))

    return await command.run(effect)


async def _save(tx: Tx, decision: Decision[Rule], change: Change) -> None:
    rule = decision.state
    try:
        await store.save(tx, rule, change)
    except store.NameTaken as error:
        detail = f"The bus {rule.content.bus} has a rule {rule.content.name!r} already."
        raise Problem(409, "Name taken", detail, field="name") from error
    tx.apply(decision, key=rule.id)


def _decided(decide: Callable[[], T]) -> T:
    try:
        return decide()
    except BadRule as error:
        errors = [{"field": error.place, "message": str(error)}]
        raise Problem(422, "Unsound rule", f"{error.place}: {error}", errors=errors) from error
    except Outdated as error:
        raise Problem(409, "Rule has changed", str(error), field="version") from error


async def _locked(tx: Tx, rule: str) -> Rule:
    known = await store.lock(tx, rule)
    if known is None:
        raise _unknown(rule)
    return known


async def _known(database: Database, rule: str) -> Rule:
    known = await store.find(database, rule)
    if known is None:
        raise _unknown(rule)
    return known


def _unknown(rule: str) -> Problem:
    return Problem(404, "No such rule", f"There is no rule {rule}: GET /rules lists those that there are.")
