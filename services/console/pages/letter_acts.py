"""Does what mends dead letters: handles them again by a plan, gives them up, takes that back, and edits one."""

import json
from collections.abc import Mapping
from typing import Any

from services.console.asking import Ask, Refused, at
from services.console.elements import WRONG, address, notice
from services.console.everywhere import number_in, service_of, whole_number
from services.console.forms import is_typed
from services.console.letter_forms import GIVE_UP, selection
from services.console.pages import dead_letters, letter
from services.console.routing import Pages
from services.console.shell import Page

MOST = 5_000
"""Letters that a service discards or restores in one transaction."""
ROUNDS = 200
NOT_FOUND = 404

pages = Pages()


@pages.act("/dead-letters/{service}/rehearse", "operations.act")
async def rehearse(ask: Ask) -> str | Page:
    """Begins the dry run of a redrive: it goes on with other keys where one fails, so as to tell of all."""
    service = service_of(ask)
    asked = {**selection(ask.form), "dry_run": True, "on_failure": "continue"}
    try:
        plan = await ask.act("POST", service, "/redrives", asked, key=ask.form.get("once"))
    except Refused as refused:
        return await _refused(ask, service, str(refused))
    return at("/redrives/{service}/{plan}", service=service, plan=str(plan["id"]))


@pages.act("/dead-letters/{service}/discard", "operations.act")
async def discard(ask: Ask) -> str | Page:
    """Gives letters up, where what was typed says how much that is."""
    service, which = service_of(ask), selection(ask.form)
    word = await _scope(ask, service, which)
    if not is_typed(ask.form, GIVE_UP, word):
        return await _refused(ask, service, f"Nothing was discarded: what had to be typed is {word} by now.")
    then = await _where_discarded(ask, service, which)
    try:
        await _in_parts(ask, service, "discard", "discarded", {**which, "reason": ask.form.get("reason", "")})
    except Refused as refused:
        return await _refused(ask, service, refused.in_words)
    return then


@pages.act("/dead-letters/{service}/restore", "operations.act")
async def restore(ask: Ask) -> str | Page:
    """Puts discarded letters back to where they stood."""
    service, which = service_of(ask), selection(ask.form)
    await _in_parts(ask, service, "restore", "restored", which)
    if "letter" in which:
        return at("/dead-letters/{service}/{letter}", service=service, letter=str(which["letter"]))
    return address(at("/dead-letters/{service}", service=service), which)


@pages.act("/dead-letters/{service}/publish-again", "operations.act")
async def publish_again(ask: Ask) -> str:
    """Has the events published again that Kafka had refused."""
    await ask.act("POST", service_of(ask), "/refused-events/retry", {"key": None})
    return "/dead-letters"


@pages.page("/dead-letters/{service}/{letter}/edit", "operations.edit")
async def editor(ask: Ask) -> Page:
    """Shows a letter's data to be edited."""
    service, number = service_of(ask), number_in(ask, "letter")
    found = await ask.get(service, f"/dead-letters/{number}")
    return _editor(ask, number, json.dumps(found["payload"], indent=2, ensure_ascii=False), {})


@pages.act("/dead-letters/{service}/{letter}/edit", "operations.edit")
async def edit(ask: Ask) -> str | Page:
    """Puts a copy with other data in a letter's place."""
    service, number = service_of(ask), number_in(ask, "letter")
    text = ask.form.get("data", "")
    try:
        body = {"data": json.loads(text), "reason": ask.form.get("reason", "")}
        await ask.act("POST", service, f"/dead-letters/{number}/edit", body)
    except ValueError as error:
        return _editor(ask, number, text, {"data": f"is no JSON: {error}"})
    except Refused as refused:
        return _editor(ask, number, text, refused.errors or {"": str(refused)})
    return at("/dead-letters/{service}/{letter}", service=service, letter=str(number))


def _editor(ask: Ask, number: int, text: str, errors: Mapping[str, str]) -> Page:
    service = service_of(ask)
    told = errors and not ask.may_have_acted and notice("Nothing was changed.", WRONG)
    body = [told, letter.edit_form(service, number, text, ask.form, errors)]
    says = (f'./sliceline dead-letters edit {service} {number} --data FILE --reason "…"',)
    return Page(f"Edit letter {number} of {service}", body, says, status=422 if errors else 200)


async def _scope(ask: Ask, service: str, which: Mapping[str, Any]) -> str:
    """Return what has to be typed: the letter's number, the key, or how many a group has by now."""
    if "group" not in which:
        return str(which.get("letter", which.get("key", "")))
    groups = (await ask.get(service, "/dead-letters/groups"))["items"]
    return str(sum(each["count"] for each in groups if each["group"] == which["group"]))


async def _where_discarded(ask: Ask, service: str, which: Mapping[str, Any]) -> str:
    """Return where what is discarded will be shown, to be restored: a letter among those of its key."""
    path = at("/dead-letters/{service}/discarded", service=service)
    if "letter" not in which:
        return address(path, which)
    found = await ask.found(service, f"/dead-letters/{which['letter']}")
    return address(path, {"key": found["key"]} if found else {})


async def _in_parts(ask: Ask, service: str, act: str, told: str, body: Mapping[str, Any]) -> None:
    """Do something to as many letters as the service takes at once, until there are no more."""
    for first in range(ROUNDS):
        try:
            done = await ask.act("POST", service, f"/dead-letters/{act}", body)
        except Refused as refused:
            if first and refused.status == NOT_FOUND:
                return
            raise
        if done[told] < MOST:
            return


async def _refused(ask: Ask, service: str, why: str) -> Page:
    """Show again where somebody came from, with what was typed there and why nothing was done."""
    number = whole_number(ask.form.get("letter", ""))
    if number is not None:
        return await letter.shown(ask, service, number, why)
    return await dead_letters.listed(ask, why)
