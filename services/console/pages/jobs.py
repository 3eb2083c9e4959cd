"""Shows what services have still to do, now or at a time, and does it now or again."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    as_held,
    button,
    choice,
    curl,
    field,
    identity,
    live,
    mark,
    moment,
    more,
    notice,
    row,
    table,
)
from services.console.everywhere import Told, ask_all, everything, service_of
from services.console.masked import masked
from services.console.pages.dead_letters import counted
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page
from services.console.wording import is_id

FEW, PAGE = 20, 50
"""Jobs shown of each service where all are asked, and of one."""
MOST_AGAIN = 200
"""Jobs started anew by one click: each is a call of its own, and somebody waits for the page."""
STATES = {"": "any", "due": "due, and nobody at it", "waiting": "waiting", "parked": "given up"}
GONE = (404, 409)

pages = Pages()
pages.section("/jobs", "Jobs", "Operations", "operations.read")


@pages.page("/jobs", "operations.read")
async def jobs(ask: Ask) -> Page:
    """Shows the jobs and timers of all services, or of one."""
    return await shown(ask)


async def shown(ask: Ask, refused: str | None = None, told: str | None = None) -> Page:
    """Make the page of jobs; `refused`: why what was asked for was not done, `told`: what else there is to say."""
    which = _which(ask)
    body = [
        masking_note(ask),
        refused and notice(refused, WRONG),
        told and notice(told, WAITS),
        h.form(".filters", action="/jobs")[
            choice("service", "Service", {"": "all", **{name: name for name in ask.services.names}}, which["service"]),
            choice("state", "State", STATES, which["state"]),
            field("kind", "Kind", which["kind"]),
            field("key", "Key", which["key"], placeholder="an order, a SKU"),
            h.button(type="submit")["Show"],
            any(which.values()) and h.a(href="/jobs")["All"],
        ],
        live(address("/live/jobs/list", {**which, "after": ask.query.get("after")}), await listed(ask)),
    ]
    asked = ask.services.address(which["service"] or "orders")
    says = (
        curl("operator", address(f"{asked}/jobs", _asked(which))),
        f"./sliceline redrive {which['service'] or 'SERVICE'}",
    )
    return Page("Jobs and timers", body, says, status=422 if refused else 200)


@pages.part("/jobs/list", "operations.read")
async def listed(ask: Ask) -> Node:
    """Tells how many there are of each kind, and lists them."""
    which = _which(ask)
    names = [which["service"]] if which["service"] else list(ask.services.names)
    backlogs = await ask_all(ask, "/backlog", names)
    after = ask.query.get("after") if len(names) == 1 else None
    most = PAGE if len(names) == 1 else FEW
    lists = await ask_all(ask, "/jobs", names, limit=most, after=after, **_asked(which))
    away = Told({}, {**backlogs.away, **lists.away})
    return [
        _sentence(backlogs, away),
        as_held(address("/jobs", {**which, "after": ask.query.get("after")}), away.away),
        h.h2["By kind"],
        _kinds(ask, backlogs, which["kind"]),
        h.h2["One by one"],
        _list(ask, lists, which),
        _rest(lists, which, after),
    ]


def _which(ask: Ask) -> dict[str, str]:
    """Read which jobs are meant; a service that there is none of is any.

    A form that was refused comes from a page that says so in its own fields.
    """
    which = {name: ask.query.get(name, "").strip() for name in ("service", "state", "kind", "key")}
    return {**which, "service": which["service"] if which["service"] in ask.services.names else ""}


def _asked(which: Mapping[str, str]) -> dict[str, str]:
    """Return of it what a service is asked for; a state that there is none of is anyone's."""
    state = which["state"] if which["state"] in STATES else ""
    return {name: value for name, value in {**which, "state": state}.items() if value and name != "service"}


def _sentence(backlogs: Told, away: Told) -> Node:
    """Say in one notice how jobs are and who is missing: another would move the rows below it."""
    kind, said = _standing(backlogs)
    return notice(f"{said} {away.missing}", WRONG) if away.away else notice(said, kind)


def _standing(backlogs: Told) -> tuple[str, str]:
    found = [kind for each in backlogs.answers.values() for kind in each["jobs"]]
    given_up, failing, due = (sum(each[what] for each in found) for what in ("given_up", "failing", "due"))
    if given_up:
        return WRONG, f"{counted(given_up, 'job')} given up: each waits for somebody to start it anew."
    if failing:
        return WAITS, f"{counted(failing, 'job')} failing: they are tried again by themselves."
    return WELL, f"None is given up, and none fails. {counted(due, 'job')} due at this moment."


def _kinds(ask: Ask, backlogs: Told, kind: str) -> Node:
    return table(
        ("Service", "Kind", "Due", "Since", "In hand", "Failing", "Given up", "Last error", ""),
        (
            _kind(ask, name, masked(ask, each))
            for name, backlog in backlogs.answers.items()
            for each in backlog["jobs"]
            if kind in ("", each["kind"])
        ),
        "Each kind of work that is still to be done, now or later, would be here.",
        "Jobs by service and kind",
        held="kinds",
    )


def _kind(ask: Ask, service: str, each: Mapping[str, Any]) -> Node:
    this = {"service": service, "kind": each["kind"]}
    to = address("/jobs", this)
    return row(
        h.a(href=at("/consumers/{service}", service=service))[service],
        h.a(href=to)[each["kind"]],
        _count(each["due"], WAITS, address("/jobs", {**this, "state": "due"})),
        moment(each["due_since"], "–"),
        f"{each['in_hand']:,}",
        _count(each["failing"], WAITS),
        _count(each["given_up"], WRONG, address("/jobs", {**this, "state": "parked"})),
        [
            each["given_up_error"] or each["failing_error"] or "",
            each["rests_until"] and [h.br, mark("they rest", OVER), " one is tried ", moment(each["rests_until"])],
        ],
        (
            each["given_up"]
            and ask.may("operations.act")
            and button(
                at("/jobs/{service}/again", service=service),
                "Start all anew",
                fields={"kind": each["kind"]},
                label=f"Start all {each['kind']} jobs of {service} anew that were given up",
            )
        )
        or None,
        to=to,
        name=f"kind-{service}-{each['kind']}",
        of=service,
    )


def _count(number: int, kind: str, to: str | None = None) -> Node:
    """Show a number that is good news where it is none."""
    if not number:
        return "0"
    shown = mark(f"{number:,}", kind)
    return h.a(href=to)[shown] if to else shown


def _list(ask: Ask, lists: Told, which: Mapping[str, str]) -> Node:
    found = [(name, each) for name, answer in lists.answers.items() for each in answer["items"]]
    under = " under this name" if any(which.values()) else ""
    return [
        table(
            ("Service", "Kind", "Key", "State", "Due", "Tries", "Error", ""),
            (_row(ask, name, masked(ask, each)) for name, each in sorted(found, key=_place)),
            f"Nothing is still to be done{under}. What services do later or outside would be: calls, mails, timers.",
            "Jobs by service, in the order in which they were scheduled first",
            held="jobs",
        ),
    ]


def _place(found: tuple[str, Mapping[str, Any]]) -> tuple[str, int]:
    """Return what a job's place follows from: nothing that changes, or another would come under somebody's finger."""
    service, each = found
    return service, each["id"]


def _row(ask: Ask, service: str, each: Mapping[str, Any]) -> Node:
    return row(
        service,
        each["kind"],
        identity(each["key"], _search(each)),
        state_of(each),
        moment(each["due"]) if not each["parked_at"] else ["given up ", moment(each["parked_at"])],
        str(each["attempts"]),
        each["error"] or "",
        ask.may("operations.act") and _act(service, each),
        name=f"job-{service}-{each['id']}",
        of=service,
    )


def _search(each: Mapping[str, Any]) -> str | None:
    """Return where a job's key leads; None where it is no id: names like a partition's are in no event."""
    is_found = is_id(each["key"]) and not each.get("is_key_masked")
    return at("/search?q={key}", key=each["key"]) if is_found else None


def state_of(each: Mapping[str, Any]) -> Node:
    """Say how a job is."""
    if each["parked_at"]:
        return mark("given up", WRONG)
    if each["in_hand"]:
        return mark("in hand", WELL)
    return mark("tried again", WAITS) if each["error"] else mark("waits", WAITS)


def _act(service: str, each: Mapping[str, Any]) -> Node:
    if each["in_hand"]:
        return None
    what, text = ("retry", "Run again") if each["parked_at"] else ("run", "Run now")
    to = at("/jobs/{service}/{job}/{what}", service=service, job=str(each["id"]), what=what)
    return button(to, text, label=f"{text}: {each['kind']} {each['key']} of {service}")


def _rest(lists: Told, which: Mapping[str, str], after: str | None) -> Node:
    """Say how much is shown: of one service the next page follows, of all each service leads to its own."""
    if len(lists.answers) == 1:
        [answer] = lists.answers.values()
        query = {**which, "after": after or ""}
        return answer["items"] and more(len(answer["items"]), None, "/jobs", query, answer["next"])
    return h.p(".more")[_parts(lists, which)]


def _parts(lists: Told, which: Mapping[str, str]) -> Iterator[Node]:
    cut = [name for name, answer in lists.answers.items() if answer["next"]]
    yield f"All {sum(len(each['items']) for each in lists.answers.values()):,}." if not cut else ""
    for name in cut:
        yield f"The first {FEW} of {name}: "
        yield h.a(href=address("/jobs", {**which, "service": name}))[f"all of {name}"]
        yield ". "


@pages.act("/jobs/{service}/{job}/{what}", "operations.act")
async def act(ask: Ask) -> str | Page:
    """Does one job now (`run`), or one that was given up again (`retry`)."""
    service, what = service_of(ask), "retry" if ask.path["what"] == "retry" else "run"
    try:
        await ask.act("POST", service, at("/jobs/{job}/{what}", job=ask.path["job"], what=what))
    except Refused as refused:
        return await shown(ask, str(refused))
    return address("/jobs", {"service": service})


@pages.act("/jobs/{service}/again", "operations.act")
async def again(ask: Ask) -> str | Page:
    """Starts the jobs of one kind anew that were given up; of many, some, and tells how many are left."""
    service, kind = service_of(ask), ask.form.get("kind", "")
    try:
        found, whole = await everything(ask, service, "/jobs", MOST_AGAIN, state="parked", kind=kind)
        for each in found:
            await _restart(ask, service, each["id"])
        left = 0 if whole else await _given_up(ask, service, kind)
    except Refused as refused:
        return await shown(ask, str(refused))
    if not left:
        return address("/jobs", {"service": service, "kind": kind})
    here = replace(ask, query={"service": service, "kind": kind})
    return await shown(here, told=f"{counted(len(found), 'job')} started anew. {left:,} are left: start them as well.")


async def _given_up(ask: Ask, service: str, kind: str) -> int:
    backlog = await ask.get(service, "/backlog")
    return sum(int(each["given_up"]) for each in backlog["jobs"] if each["kind"] == kind)


async def _restart(ask: Ask, service: str, job: int) -> None:
    """Start one anew; one that somebody else has started or withdrawn meanwhile is well as it is."""
    try:
        await ask.act("POST", service, f"/jobs/{job}/retry")
    except Refused as refused:
        if refused.status not in GONE:
            raise
