"""Shows redrives: what would change, how far one is, what came of each letter; begins one and stops it."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

import htpy as h
from htpy import Node

from backbone.consuming.redrive import STEPS
from backbone.consuming.redriven import WORDS
from services.console.asking import Ask, Refused, at
from services.console.elements import (
    KINDS as STATES,
)
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    button,
    choice,
    field,
    identity,
    mark,
    moment,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.everywhere import number_in, service_of
from services.console.masked import masked
from services.console.pages.dead_letters import name_of
from services.console.pages.letter import KINDS
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page

ON_FAILURE = {"stop": "stop", "continue": "go on with other keys"}

pages = Pages()


@pages.page("/redrives/{service}", "operations.read", live=True)
async def redrives(ask: Ask) -> Page:
    """Shows a service's redrives, the newest first; their reports are kept."""
    service, after = service_of(ask), ask.query.get("after", "")
    page = await ask.get(service, "/redrives", after=after)
    path = at("/redrives/{service}", service=service)
    found = [_row(service, masked(ask, each)) for each in page["items"]]
    body = [
        masking_note(ask),
        h.p(".soft")[h.a(href=at("/dead-letters/{service}", service=service))[f"What is parked at {service}"]],
        table(
            ("Redrive", "Of", "State", "Letters", "Begun", "Ended"),
            found,
            ["Each time that parked events are handled again would be here. ", _begun_by(service)],
            f"Redrives of {service}, the newest first",
        ),
        found and more(len(found), None, path, {"after": after}, page["next"]),
    ]
    return Page(f"Redrives of {service}", body, (f"./sliceline dead-letters redrive {service} --all",))


def _begun_by(service: str) -> Node:
    return h.code[f"./sliceline dead-letters redrive {service} --all"]


def _row(service: str, plan: Mapping[str, Any]) -> Node:
    to = at("/redrives/{service}/{plan}", service=service, plan=str(plan["id"]))
    return row(
        h.a(href=to)[f"{'dry run' if plan['dry_run'] else 'redrive'} {plan['id']}"],
        of(plan),
        _state(plan["state"]),
        f"{plan['total']:,}",
        [moment(plan["began_at"]), f" by {plan['began_by']}"],
        moment(plan["ended_at"], "not yet"),
        to=to,
    )


def _state(state: str) -> Node:
    return mark(state, {"running": WAITS, "done": WELL, "cancelled": OVER}.get(state, STATES.get(state, WRONG)))


def of(plan: Mapping[str, Any]) -> str:
    """Say what a redrive takes."""
    if plan["letter"] is not None:
        return f"letter {plan['letter']}"
    if plan["key"] is not None:
        return f"all of {plan['key']}"
    return f"those of cause {plan['group']}" if plan["group"] else "all that are parked"


@pages.page("/redrives/{service}/{plan}", "operations.read", live=True)
async def redrive(ask: Ask) -> Page:
    """Shows how far a redrive is, and what came of it; of a dry run, what would."""
    return await _shown(ask, service_of(ask), number_in(ask, "plan"))


async def _shown(ask: Ask, service: str, number: int, refused: Refused | None = None) -> Page:
    plan = masked(ask, await ask.get(service, f"/redrives/{number}"))
    after = ask.query.get("after", "")
    page = await ask.get(service, f"/redrives/{number}/letters", after=after)
    path = at("/redrives/{service}/{plan}", service=service, plan=str(number))
    found = [_outcome(service, masked(ask, each)) for each in page["items"]]
    tried = sum(plan["outcomes"].values())
    body = [
        masking_note(ask),
        notice(str(refused), WRONG) if refused else None,
        h.p(".soft")[
            h.a(href=at("/redrives/{service}", service=service))[f"Redrives of {service}"],
            " · ",
            h.a(href=at("/dead-letters/{service}", service=service))["What is parked"],
        ],
        _sentence(plan),
        _progress(plan, tried),
        plan["dry_run"] and _changes(plan),
        ask.may("operations.act") and _acts(path, plan, await _once(ask, service, plan), ask.form, refused),
        h.h2["Each event"],
        table(
            ("Letter", "Key", "Event", "What would come of it" if plan["dry_run"] else "What came of it", "When"),
            found,
            "What came of each event would be here, as soon as one was tried.",
            f"What came of each letter of redrive {number}",
        ),
        found and more(len(found), tried, path, {"after": after}, page["next"]),
    ]
    title = f"{'Dry run' if plan['dry_run'] else 'Redrive'} {number} of {service}"
    return Page(title, body, _says(service, plan), status=422 if refused else 200)


def _sentence(plan: Mapping[str, Any]) -> Node:
    failed = plan["outcomes"]["failed"]
    if plan["state"] == "running":
        return notice(f"It goes on, whoever looks: {of(plan)}.", WAITS)
    told = ", ".join(f"{count:,} {WORDS[each]}" for each, count in plan["outcomes"].items() if count)
    said = told or "there was nothing to handle"
    kind = WRONG if failed or plan["state"] not in ("done", "cancelled") else WELL
    if plan["dry_run"]:
        return notice(f"So it would be: {said}. Nothing was changed.", kind)
    return notice(f"It is {plan['state']}: {said}.", kind)


def _progress(plan: Mapping[str, Any], tried: int) -> Node:
    whole = max(plan["total"], tried)
    following = STEPS[min(plan["steps"], len(STEPS) - 1)]
    return h.section(".panel")[
        h.progress(max=str(max(whole, 1)), value=str(tried if whole else 1), aria_label="How far it is"),
        numbers(
            ("State", _state(plan["state"])),
            ("Tried", f"{tried:,} of {whole:,}"),
            ("Steps", f"{plan['steps']:,}"),
            *((("The next takes", f"up to {following}"),) if plan["state"] == "running" else ()),
            ("At most", f"{plan['rate']:g} a second" if plan["rate"] else "as fast as it goes"),
            ("Where one fails", ON_FAILURE[plan["on_failure"]]),
            ("Begun", [moment(plan["began_at"]), f" by {plan['began_by']}"]),
            ("Ended", moment(plan["ended_at"], "not yet")),
        ),
    ]


def _changes(plan: Mapping[str, Any]) -> Node:
    if plan["state"] == "running":
        return None
    changes = plan["changes"] or {}
    return [
        h.h2["Rows that would change"],
        table(
            ("Table", "Inserted", "Updated", "Deleted"),
            (
                row(h.code[name], *(f"{each[what]:,}" for what in ("inserted", "updated", "deleted")))
                for name, each in changes.items()
            ),
            "No row would change.",
            "Rows that would change, by table",
        ),
    ]


async def _once(ask: Ask, service: str, plan: Mapping[str, Any]) -> str:
    """Return under which key a dry run is begun: another one from when any redrive has begun.

    It is none that is drawn anew by each look: the page is sent again whenever it is another.
    """
    if plan["state"] == "running" or not plan["dry_run"]:
        return ""
    newest = (await ask.get(service, "/redrives", limit=1))["items"]
    return f"redrive-{plan['id']}-{newest[0]['id'] if newest else 0}"


def _acts(path: str, plan: Mapping[str, Any], once: str, typed: Mapping[str, str], refused: Refused | None) -> Node:
    if plan["state"] == "running":
        return h.p[button(f"{path}/cancel", "Stop before the next step", kind="danger")]
    if not plan["dry_run"] or not plan["total"]:
        return None
    return h.section(".panel")[
        h.h2["Do it"],
        h.p["In steps of 1, 2, 5, 10 and so on, each key in its order, in the background; it can be stopped."],
        h.form(".filters", method="post", action=f"{path}/begin")[
            h.input(type="hidden", name="once", value=once),
            field(
                "rate",
                "At most so many a second",
                typed.get("rate", ""),
                error=refused.errors.get("rate") if refused else None,
                inputmode="decimal",
                placeholder="as fast as it goes",
            ),
            choice("on_failure", "Where one fails", ON_FAILURE, typed.get("on_failure", "stop")),
            h.button(".main", type="submit")[f"Redrive {of(plan)}"],
        ],
    ]


def _outcome(service: str, each: Mapping[str, Any]) -> Node:
    to = at("/dead-letters/{service}/{letter}", service=service, letter=str(each["letter"]))
    return row(
        h.a(href=to)[str(each["letter"])],
        identity(each["key"]),
        name_of(each["type"]),
        [mark(WORDS[each["outcome"]], KINDS[each["outcome"]]), each["error"] and [h.br, each["error"]]],
        moment(each["at"]),
        to=to,
    )


def _says(service: str, plan: Mapping[str, Any]) -> tuple[str, ...]:
    named = (("--key", plan["key"]), ("--group", plan["group"]))
    option = " ".join(f"{name} {quote(value)}" for name, value in named if value) or str(plan["letter"] or "--all")
    again = f"./sliceline dead-letters redrive {service} {option}"
    if plan["state"] != "running":
        return (again,)
    return again, f"./sliceline dead-letters cancel {service} {plan['id']}"


@pages.act("/redrives/{service}/{plan}/begin", "operations.act")
async def begin(ask: Ask) -> str | Page:
    """Begins the redrive that a dry run has rehearsed."""
    service, number = service_of(ask), number_in(ask, "plan")
    rehearsed = await ask.get(service, f"/redrives/{number}")
    which = {name: rehearsed[name] for name in ("letter", "key", "group") if rehearsed[name] is not None}
    asked = {**(which or {"all": True}), "rate": _rate(ask.form), "on_failure": ask.form.get("on_failure", "stop")}
    try:
        plan = await ask.act("POST", service, "/redrives", asked, key=ask.form.get("once"))
    except Refused as refused:
        return await _shown(ask, service, number, refused)
    return at("/redrives/{service}/{plan}", service=service, plan=str(plan["id"]))


def _rate(form: Mapping[str, str]) -> float | str | None:
    """Read a rate; what is no number is passed on as it is, for the service says best what it must be."""
    text = form.get("rate", "")
    try:
        return float(text) if text else None
    except ValueError:
        return text


@pages.act("/redrives/{service}/{plan}/cancel", "operations.act")
async def cancel(ask: Ask) -> str | Page:
    """Stops a redrive before its next step; what it has handled stays so."""
    service, number = service_of(ask), number_in(ask, "plan")
    try:
        await ask.act("POST", service, f"/redrives/{number}/cancel")
    except Refused as refused:
        return await _shown(ask, service, number, refused)
    return at("/redrives/{service}/{plan}", service=service, plan=str(number))
