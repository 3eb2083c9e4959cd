"""Shows an order's journey: where it stands, lanes, every event in a sentence, causes, and why nothing happens."""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node

from services.console import elements
from services.console.asking import Ask, Refused, at
from services.console.elements import OVER, WAITS, WELL, WRONG, address, identity, mark, moment, money, notice
from services.console.everywhere import whole_number
from services.console.lanes import tree
from services.console.masked import PLAIN, masked
from services.console.pages import instants, steps
from services.console.pages.orders import seen, wanted
from services.console.pages.tailing import masking_note
from services.console.picture import picture
from services.console.routing import Pages
from services.console.shell import Page

PATH, JOURNEY = "/orders/{order}", "/orders/{order}/journey"
LEDGER, ORDERS = "ledger", "orders"
MOST = 60
"""Steps that are shown at once, where there are more in brief: an order has some twenty. The lanes show all."""
ENDS = ("completed", "rejected", "cancelled")
UNDONE = ("rejected", "cancelled")
WHYS = ("mail", "payment", "stock", "points", "refund", "order-confirmed", "order-completed", "order-cancelled")

pages = Pages()


@pages.page(PATH, "ledger.read")
async def show(ask: Ask) -> Page:
    """Shows the journey, and keeps it fresh until nothing more comes of it."""
    order = ask.path["order"]
    why, chosen = ask.query.get("why", ""), ask.query.get("at", "")
    (known, journey), answer, state = await asyncio.gather(
        _look(ask), _why(ask, order, why), _state(ask, order, chosen)
    )
    if known is None and journey is None:
        return _nowhere(order)
    expected = _end_of(known)
    asking = _asking(order, journey, why or expected, answer, chosen, state)
    body = _journey(ask, known, journey, asking)
    if not is_over(known, journey):
        kept = address(f"/live{at(PATH, order=order)}", {"after": ask.query.get("after")})
        body = elements.live(kept, body)
    asked = ask.services.address(LEDGER) + at(JOURNEY, order=order)
    says = (elements.curl("operator", asked), f"./sliceline why {shlex.quote(order)} {expected}")
    return Page(f"Order …{order[-8:]}", [masking_note(ask), body], says)


@pages.part(PATH, "ledger.read")
async def fresh(ask: Ask) -> Node:
    """Shows the same again, but for what somebody has asked on the page: that stays as it is."""
    known, journey = await _look(ask)
    return _journey(ask, known, journey, h.div("#asking", {"hx-morph-skip": ""}))


def is_over(known: Mapping[str, Any] | None, journey: Mapping[str, Any] | None) -> bool:
    """Tell whether nothing more comes of an order by itself."""
    if journey is None or known is None or known["status"] not in ENDS:
        return False
    return not (journey["unfinished"] or journey["unanswered"] or journey["jobs"])


async def _look(ask: Ask) -> tuple[Any | None, Any | None]:
    order = ask.path["order"]
    journey = ask.found(LEDGER, at(JOURNEY, order=order))
    known, told = await asyncio.gather(_order(ask, order), journey)
    return known, told and {**told, **{name: [masked(ask, each) for each in told[name]] for name in ("steps", "jobs")}}


async def _order(ask: Ask, order: str) -> Any | None:
    """Return the order as orders has it; None where there is none, or nobody answers."""
    try:
        known = await ask.found(ORDERS, at("/orders/{order}", order=order))
    except Refused:
        return None
    return known and seen(ask, known)


async def _why(ask: Ask, order: str, expected: str) -> Any | None:
    if not expected:
        return None
    try:
        answer = await ask.found(LEDGER, "/why", order=order, expected=expected)
    except Refused as refused:
        return {"refused": "; ".join(refused.errors.values()) or str(refused)}
    return answer and masked(ask, answer)


async def _state(ask: Ask, order: str, chosen: str) -> Any | None:
    try:
        return await instants.state(ask, order, chosen) if chosen else None
    except Refused as refused:
        said = "; ".join(refused.errors.values())
        return {"refused": f"{chosen} {said}" if said else str(refused)}


def _nowhere(order: str) -> Page:
    body = [
        h.div(".empty")[f"No order {order} is known, and no event of one is archived. The id may be mistyped."],
        h.p[
            h.a(href=address("/search", {"q": order}))["Search for it as another id"],
            " · ",
            h.a(href="/orders")["All orders"],
        ],
    ]
    return Page("There is no such order", body, (f"./sliceline why {shlex.quote(order)} mail",), status=404)


def _journey(ask: Ask, known: Any | None, journey: Any | None, asking: Node) -> Node:
    told = journey["steps"] if journey else []
    return [
        _head(known),
        _facts(ask, known, journey),
        _standing(journey) if journey else None,
        _acts(ask, known),
        asking if journey else None,
        [h.h2["Lanes"], picture(told), h.h2["What happened"], _cut(journey), _steps(ask, told)] if told else _waits(),
        _causes(told),
    ]


def _waits() -> Node:
    return h.div(".empty")["Nothing of it is archived yet. Its events come here within a second or two of happening."]


def _head(known: Any | None) -> Node:
    """Say in a sentence where the order stands, and what comes next."""
    if known is None:
        return notice("Orders does not know this order, or does not answer. This is what the archive has of it.", WAITS)
    kind = WELL if known["status"] == "completed" else WRONG if known["status"] == "rejected" else OVER
    kind = kind if known["status"] in ENDS else WAITS
    following = known["expected"]
    next_ = [" Next it is ", h.b[following["step"]], ", due ", moment(following["at"]), "."] if following else None
    reason = f" {known['reason']}" if known["reason"] else ""
    said = [f"{wanted(known['lines'])} for {known['customer']['name']}: ", h.b[known["status"]], f".{reason}", next_]
    return h.div(f".notice.large.{kind}", role="status")[h.span(aria_hidden="true")[elements.SIGNS[kind]], " ", said]


def _facts(ask: Ask, known: Any | None, journey: Any | None) -> Node:
    stories = list(dict.fromkeys(step["correlationid"] for step in journey["steps"])) if journey else []
    facts: list[tuple[str, Node]] = []
    if known is not None:
        customer = known["customer"]["id"]
        facts += [
            ("order", identity(known["id"])),
            ("customer", identity(customer, address("/orders", {"customer": customer}) if ask.may(PLAIN) else None)),
            ("total", money(known["total"])),
            ("by", known["fulfilment"]),
            ("placed", moment(known["placed_at"])),
            ("so since", moment(known["since"])),
        ]
    if journey is not None:
        facts += [
            ("events", f"{len(journey['steps']):,}"),
            ("took", elements.seconds(journey["took_ms"] / 1000)),
            (
                "correlation",
                [[identity(each, address("/search", {"q": each}), short=12), " "] for each in stories[:3]],
            ),
        ]
    return elements.numbers(*facts)


def _standing(journey: Mapping[str, Any]) -> Node:
    """Say who has finished and who has not, and what is left to do."""
    done = sorted({name for step in journey["steps"] for name in step["finished"]} - set(journey["unfinished"]))
    jobs = [
        *journey["jobs"],
        *(job for step in journey["steps"] for each in step["listeners"] for job in each["jobs"]),
    ]
    return h.div(".panel")[
        h.p[mark("finished", WELL), " ", elements.listed(done) or "nobody yet"],
        journey["unfinished"] and h.p[mark("not finished", WAITS), " ", elements.listed(journey["unfinished"])],
        journey["unanswered"] and h.p[mark("does not answer", WRONG), " ", elements.listed(journey["unanswered"])],
        [_job(each) for each in jobs],
    ]


def _job(job: Mapping[str, Any]) -> Node:
    kind = WRONG if job["parked_at"] or job["error"] else WAITS
    said = "given up" if job["parked_at"] else "is due"
    return h.p[
        mark(f"job {job['kind']}", kind),
        f" of {job['service']} {said} ",
        moment(job["parked_at"] or job["due"]),
        job["error"] and f", after {elements.counted(job['attempts'], 'attempt')}: {job['error']}",
    ]


def _acts(ask: Ask, known: Any | None) -> Node:
    if known is None:
        return None
    order = known["id"]
    acts = (
        ("/orders/{order}/cancel", "Cancel this order", known["status"] not in ENDS and ask.may("orders.cancel")),
        ("/orders/{order}/refund", "Refund", known["status"] not in UNDONE and ask.may("orders.refund")),
    )
    shown: list[Node] = [[h.a(".act", href=at(path, order=order))[text], " "] for path, text, may in acts if may]
    return h.p[shown] if shown else None


def _asking(order: str, journey: Any | None, expected: str, answer: Any | None, chosen: str, state: Any | None) -> Node:
    """Make the part in which something is asked about the order: why nothing happens, and how it stood."""
    words = "mail, payment, points, an event, a service, rule:NAME or endpoint:NAME"
    return h.div("#asking", {"hx-morph-skip": ""})[
        h.div(".columns")[
            h.section("#asked.panel")[
                h.h2["Why has nothing happened?"],
                h.form(".filters", action=at("/orders/{order}", order=order))[
                    elements.field("why", "What is missing", expected, list="whys", help_text=words),
                    h.datalist("#whys")[(h.option(value=each) for each in WHYS)],
                    h.button(type="submit")["Ask"],
                ],
                _answer(answer),
            ],
            instants.slider(order, journey["steps"], chosen) if journey else None,
        ],
        h.div("#states", aria_live="polite")[_states(state) if chosen else None],
    ]


def _states(state: Mapping[str, Any] | None) -> Node:
    return notice(state["refused"], WRONG) if state and "refused" in state else instants.states(state)


def _answer(answer: Any | None) -> Node:
    if answer is None:
        return None
    if said := answer.get("refused"):
        return notice(said, WRONG)
    holds: list[Node] = [
        h.li[mark("", WELL), " ", each["text"], each["at"] and [" ", moment(each["at"])]] for each in answer["chain"]
    ]
    if happened := answer["happened"]:
        end: Node = notice([happened["text"], " ", moment(happened["at"])], WELL)
    else:
        broken = answer["broken"]
        since = [" Since ", moment(broken["since"]), "."] if broken["since"] else None
        end = [
            notice([broken["text"], since], WAITS if broken["kind"] in ("button", "job-later", "ended") else WRONG),
            broken["command"] and h.p["It goes on with: ", identity(broken["command"])],
        ]
    return [h.ol(".plain")[holds] if holds else None, end]


def _cut(journey: Mapping[str, Any] | None) -> Node:
    return (
        notice("It has more events than are shown here: the first 1,000 of its own are.", WAITS)
        if journey and journey["is_cut"]
        else None
    )


def _steps(ask: Ask, told: Sequence[Mapping[str, Any]]) -> Node:
    after = ask.query.get("after", "")
    first = whole_number(after) or 0
    shown = told[first : first + MOST]
    following = str(first + MOST) if first + MOST < len(told) else None
    order = ask.path["order"]
    path = at(PATH, order=order)
    return [
        h.ol(".steps", start=str(first + 1))[(steps.line(each, order, brief=len(told) > MOST) for each in shown)],
        elements.more(len(shown), len(told), path, {"after": after}, following),
    ]


def _causes(told: Sequence[Mapping[str, Any]]) -> Node:
    return h.details("#causes")[h.summary["What came of what"], steps.causes(told, tree(told))] if told else None


def _end_of(known: Any | None) -> str:
    """Name what ends an order that stands where this one does."""
    return "order-cancelled" if known and known["status"] == "cancelling" else "order-completed"
