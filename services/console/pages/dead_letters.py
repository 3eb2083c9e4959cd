"""Shows what services could not handle: by service and cause, and the letters of one service."""

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

import htpy as h
from htpy import Node

from backbone.consuming.fingerprints import without_ids
from services.console.asking import Ask, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    button,
    choice,
    field,
    identity,
    live,
    mark,
    moment,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.everywhere import Told, ask_all, service_of
from services.console.letter_forms import discarding, rehearsing
from services.console.masked import masked
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page

MOST = 10_000
"""Services count so far, and no further."""
HEADS = ("Letter", "Key", "Event", "Why", "Tries", "Parked")

pages = Pages()
pages.section("/dead-letters", "Dead letters", "Operations", "operations.read")


@pages.page("/dead-letters", "operations.read", live=True)
async def overview(ask: Ask) -> Page:
    """Shows the parked events of all services, by what went wrong."""
    told = await ask_all(ask, "/backlog")
    parked = {name: each for name, each in told.answers.items() if each["parked"]["events"]}
    groups = await ask_all(ask, "/dead-letters/groups", parked)
    found = [masked(ask, each) for answer in groups.answers.values() for each in answer["items"]]
    body = [
        masking_note(ask),
        *told.notices(),
        *groups.notices(),
        _sentence(told),
        parked and _counts(parked, found),
        _groups(sorted(found, key=lambda each: -each["count"])),
        _refused(ask, told),
        _given_up(told),
        h.h2["What was handled again"],
        h.p[_before(ask)],
    ]
    return Page("Dead letters", body, ("./sliceline status", "./sliceline dead-letters groups SERVICE"))


def _sentence(told: Told) -> Node:
    events = sum(each["parked"]["events"] for each in told.answers.values())
    where = [name for name, each in told.answers.items() if each["parked"]["events"]]
    if not events:
        return notice("Nothing is parked.", WELL)
    said = (
        f"{counted(events, 'event')} parked, at {', '.join(where)}. Nothing is lost: each keeps its place on its key."
    )
    return notice(said, WAITS)


def _counts(parked: Mapping[str, Any], groups: Iterable[Mapping[str, Any]]) -> Node:
    found = list(groups)
    since = min(each["parked"]["since"] for each in parked.values())
    return numbers(
        ("Failed", f"{sum(each['count'] for each in found):,}"),
        ("Held behind them", f"{sum(each['held'] for each in found):,}"),
        ("Keys that wait", f"{sum(each['parked']['keys'] for each in parked.values()):,}"),
        ("The first since", moment(since)),
    )


def _groups(found: Iterable[Mapping[str, Any]]) -> Node:
    return table(
        ("Service", "What went wrong", "Event", "Failed", "Keys", "Held", "Last"),
        (_group(each) for each in found),
        [
            "What a handler cannot swallow would be here, by its cause. ",
            h.code["./sliceline dead-letters groups orders"],
        ],
        "Causes for which events are parked, the most frequent first",
    )


def _group(each: Mapping[str, Any]) -> Node:
    to = address(at("/dead-letters/{service}", service=each["consumer"]), {"group": each["group"]})
    return row(
        h.a(href=to)[each["consumer"]],
        _cause(each),
        name_of(each["type"]),
        f"{each['count']:,}",
        f"{each['keys']:,}",
        f"{each['held']:,}",
        moment(each["last_at"]),
        to=to,
    )


def _cause(group: Mapping[str, Any]) -> Node:
    """Show the newest error of a group; one that names something may not speak for the others."""
    differ = group["count"] > 1 and without_ids(group["error"]) != group["error"]
    others = [h.br, h.small["So it says for the newest: for others it may name something else."]] if differ else None
    return [why(group["error"], group["frame"]), others]


def _refused(ask: Ask, told: Told) -> Node:
    """Show events that Kafka has not taken: they are parked before they were published."""
    found = {name: masked(ask, each["outbox"]) for name, each in told.answers.items() if each["outbox"]["refused"]}
    if not found:
        return None
    return [
        h.h2["Refused by Kafka"],
        table(
            ("Service", "Why", "Events", "Since", ""),
            (
                row(
                    name,
                    why(each["refused_error"] or "", ""),
                    counted(each["refused"], "event"),
                    moment(each["refused_since"]),
                    ask.may("operations.act")
                    and button(
                        at("/dead-letters/{service}/publish-again", service=name),
                        "Publish again",
                        label=f"Publish again what Kafka refused of {name}",
                    ),
                )
                for name, each in found.items()
            ),
            "",
            "Events that Kafka has refused",
        ),
    ]


def _given_up(told: Told) -> Node:
    count = sum(jobs["given_up"] for each in told.answers.values() for jobs in each["jobs"])
    if not count:
        return None
    return h.p[h.a(href="/jobs?state=parked")[f"{counted(count, 'job')} given up as well"], "."]


def _before(ask: Ask) -> Node:
    """Lead to what was done at each service so far."""
    return (
        ["" if index == 0 else " · ", h.a(href=at("/redrives/{service}", service=name))[name]]
        for index, name in enumerate(ask.services.names)
    )


@pages.page("/dead-letters/{service}", "operations.read")
async def of_service(ask: Ask) -> Page:
    """Shows the letters of one service, and what can be done with all of a key or of a cause."""
    return await listed(ask)


async def listed(ask: Ask, refused: str | None = None) -> Page:
    """Make the page of one service's letters; `refused`: why what was asked for was not done."""
    service = service_of(ask)
    groups = [masked(ask, each) for each in (await ask.get(service, "/dead-letters/groups"))["items"]]
    which = _which(ask.query or ask.form)
    path = at("/dead-letters/{service}", service=service)
    group = next((each for each in groups if each["group"] == which.get("group")), None)
    body = [
        masking_note(ask),
        refused and notice(refused, WRONG),
        h.p(".soft")[
            h.a(href="/dead-letters")["All services"],
            " · ",
            h.a(href=at("/redrives/{service}", service=service))["Redrives"],
            " · ",
            h.a(href=at("/dead-letters/{service}/discarded", service=service))["Discarded"],
        ],
        _filters(path, groups, which),
        group and notice(_cause(group), WRONG),
        live(address(f"/live{path}/letters", {**which, "after": ask.query.get("after")}), await _letters(ask, which)),
        ask.may("operations.act") and _acts(ask, service, which, group),
    ]
    option = "".join(f" --{name} {quote(value)}" for name, value in which.items()) or " --all"
    says = (
        f"./sliceline dead-letters list {service}{option if which else ''}",
        f"./sliceline dead-letters redrive {service}{option}",
    )
    return Page(f"Dead letters of {service}", body, says, status=422 if refused else 200)


@pages.part("/dead-letters/{service}/letters", "operations.read")
async def letters(ask: Ask) -> Node:
    """Keeps the list of letters fresh."""
    return await _letters(ask, _which(ask.query))


async def _letters(ask: Ask, which: Mapping[str, str]) -> Node:
    service, after = service_of(ask), ask.query.get("after")
    page = await ask.get(service, "/dead-letters", **which, after=after)
    known = (await ask.get(service, "/backlog"))["parked"]["events"] if page["next"] and not which else None
    path = at("/dead-letters/{service}", service=service)
    found = [letter_row(service, masked(ask, each)) for each in page["items"]]
    empty = [
        "Nothing is parked here",
        " under this name." if which else ".",
        " What fails and cannot be passed would be.",
    ]
    return [
        table(HEADS, found, empty, f"Letters of {service}, the oldest first"),
        found and more(len(found), known, path, {**which, "after": after or ""}, page["next"]),
    ]


def letter_row(service: str, each: Mapping[str, Any]) -> Node:
    """Show one letter in a list."""
    to = at("/dead-letters/{service}/{letter}", service=service, letter=str(each["id"]))
    return row(
        h.a(href=to)[str(each["id"])],
        identity(each["key"]),
        name_of(each["type"]),
        why(each["error"], "") if each["error"] else mark("waits behind another of its key", OVER),
        str(each["attempts"]),
        moment(each["parked_at"]),
        to=to,
    )


def _filters(path: str, groups: Iterable[Mapping[str, Any]], which: Mapping[str, str]) -> Node:
    named = {each["group"]: f"{_short(each['error'])} ({each['count']:,})" for each in groups}
    return h.form(".filters", action=path)[
        field("key", "Key", which.get("key", ""), placeholder="an order, a SKU"),
        choice("group", "What went wrong", {"": "anything", **named}, which.get("group", "")),
        h.button(type="submit")["Show"],
        which and h.a(href=path)["All"],
    ]


def _acts(ask: Ask, service: str, which: Mapping[str, str], group: Mapping[str, Any] | None) -> Node:
    """Offer what can be done with all that were named: of one key, of one cause, or all there are."""
    key = which.get("key", "")
    if group and not key:
        word, what = str(group["count"]), f"all {group['count']:,} that failed for this"
        return [rehearsing(service, {"group": group["group"]}, what), discarding(service, which, word, what, ask.form)]
    if key and not group:
        return [
            rehearsing(service, {"key": key}, f"all of {key}"),
            discarding(service, which, key, f"all of {key}", ask.form),
        ]
    return None if which else rehearsing(service, {"all": "yes"}, "all that are parked here")


def _which(said: Mapping[str, str]) -> dict[str, str]:
    return {name: said[name].strip() for name in ("key", "group") if said.get(name, "").strip()}


def why(error: str | None, frame: str) -> Node:
    """Show an error: its kind, what it says, and where in our code it came up."""
    kind, _, said = (error or "").partition(": ")
    return [h.strong[kind], said and [h.br, said], frame and [h.br, h.small[frame]]]


def name_of(event_type: str | None) -> str:
    """Shorten the type of an event to what differs: order-placed.v1."""
    return (event_type or "no type").removeprefix("sliceline.").partition(".")[2] or event_type or "no type"


def counted(number: int, what: str) -> str:
    """Say how many there are of something; services count to a limit."""
    most = " or more" if number >= MOST else ""
    return f"{number:,}{most} {what}{'' if number == 1 else 's'}"


def _short(error: str) -> str:
    return error if len(error) <= 70 else f"{error[:69]}…"
