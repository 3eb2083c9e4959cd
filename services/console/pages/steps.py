"""Shows steps of a journey: an event in a sentence, who has read it and how that went, and what it told."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node
from markupsafe import Markup, escape

from services.console import elements
from services.console.asking import at
from services.console.elements import OVER, WAITS, WELL, WRONG, address, figure, identity, mark, moment, row, table
from services.console.masked import pretty
from services.console.wording import service_of, short

STATES = {
    "handled": WELL,
    "passed": OVER,
    "discarded": OVER,
    "to come": WAITS,
    "unknown": WAITS,
    "held": WRONG,
    "parked": WRONG,
}
"""How good it is where a listener stands."""


def line(step: Mapping[str, Any], order: str, *, brief: bool = False) -> Node:
    """Show a step of an order in a line; once it is opened, with all there is to it, or in brief with what it told."""
    return h.li(f".step{'.wrong' if is_wrong(step) else ''}", id=f"e-{step['event']}")[
        h.details(open=is_wrong(step))[
            h.summary(".line")[
                h.span(".after")[_after(step)],
                h.span(".service")[service_of(step["source"])],
                h.span(".sentence")[_of_order(step["sentence"], order)],
                h.span(".marks")[list(_marks(step))],
            ],
            _brief(step) if brief else whole(step),
        ]
    ]


def _brief(step: Mapping[str, Any]) -> Node:
    """Show what a step told, and lead to the rest: an order of hundreds of events would be too long a page."""
    wrong = [f"{each['service']}: {said}" for each in step["listeners"] for said in errors_of(each)]
    return [
        h.p[h.a(href=at("/events/{event}", event=step["event"]))["All there is to this event, and who read it"]],
        h.ul(".plain")[(h.li[said] for said in wrong)] if wrong else None,
        h.pre(tabindex="0")[pretty(step["data"])],
    ]


def whole(step: Mapping[str, Any]) -> Node:
    """Show all there is to a step: its ids, its listeners, and its data."""
    cause = step["causationid"]
    return [
        elements.numbers(
            ("event", identity(step["event"], at("/events/{event}", event=step["event"]))),
            ("type", h.a(href=at("/contracts/{type}", type=step["type"]))[h.code[step["type"]]]),
            ("key", identity(step["key"])),
            ("caused by", identity(cause, at("/events/{event}", event=cause)) if cause else "a command"),
            ("told", moment(step["time"])),
            ("in the outbox", elements.seconds(_span(step["in_outbox_ms"]))),
            ("archived", moment(step["archived_at"])),
        ),
        listeners(step),
        h.h3["What it told"],
        h.pre(tabindex="0")[pretty(step["data"])],
    ]


def listeners(step: Mapping[str, Any]) -> Node:
    """Show who reads an event, and how far each is with it."""
    heads = ("listener", "is", figure("in the topic"), figure("in the handler"), figure("attempts"), "what went wrong")
    rows = (_listener(step, each) for each in step["listeners"])
    return table(heads, rows, "Nobody listens to it.", "Who reads it")


def is_wrong(step: Mapping[str, Any]) -> bool:
    """Tell whether somebody could not handle an event."""
    return any(STATES.get(each["state"]) == WRONG for each in step["listeners"])


def errors_of(listener: Mapping[str, Any]) -> list[str]:
    """Say what went wrong at a listener, each attempt that is known, its jobs' as well."""
    found = [f"{each['error']}{_together(each['together'])}" for each in listener["errors"]]
    if listener["error"] and listener["error"] not in {each["error"] for each in listener["errors"]}:
        found.append(listener["error"])
    jobs = [
        f"job {each['kind']}: {each['error'] or 'waits'} ({elements.counted(each['attempts'], 'attempt')})"
        for each in listener["jobs"]
    ]
    ended = [
        f"job {each['kind']}, done after {elements.counted(each['attempts'], 'attempt')}: {each['error']}"
        for each in listener["retried"]
    ]
    return [*found, *jobs, *ended]


def _listener(step: Mapping[str, Any], each: Mapping[str, Any]) -> Node:
    name = each["service"]
    key = None if step.get("is_key_masked") else step["key"]
    letters = address(at("/dead-letters/{service}", service=name), {"key": key})
    kind = STATES.get(each["state"], WAITS)
    return row(
        h.a(href=at("/consumers/{service}", service=name))[name],
        h.a(href=letters)[mark(each["state"], kind)] if kind == WRONG else mark(each["state"], kind),
        figure(elements.seconds(_span(each["in_topic_ms"]))),
        figure(elements.seconds(_span(each["in_handler_ms"]))),
        figure(each["attempts"] or "–"),
        h.ul(".plain")[(h.li[said] for said in errors_of(each))] if errors_of(each) else "–",
    )


def _marks(step: Mapping[str, Any]) -> Iterator[Node]:
    """Yield what is out of the ordinary by name, and how many are done."""
    for each in step["listeners"]:
        if each["state"] not in ("handled", "passed"):
            yield mark(f"{each['service']} {each['state']}", STATES.get(each["state"], WAITS))
        elif each["jobs"]:
            yield mark(f"{each['service']} has work left", WAITS)
        elif (each["attempts"] or 1) > 1 or each["retried"]:
            yield mark(f"{each['service']} tried again", WAITS)
    if step["finished"]:
        yield mark(f"{len(step['finished'])} done", WELL)


def _after(step: Mapping[str, Any]) -> str:
    return f"+{elements.seconds(_span(step['after_ms']))}" if step["after_ms"] is not None else "0"


def _of_order(sentence: str, order: str) -> str:
    """Leave the id of an order out of a sentence that stands on its own page."""
    return sentence.replace(f"order {order}", "order").replace(order, f"…{order[-8:]}")


def _together(number: int) -> str:
    return f" (one of {number} that were tried together)" if number > 1 else ""


def _span(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def causes(steps: Sequence[Mapping[str, Any]], placed: Sequence[tuple[int, int]]) -> Node:
    """Show which event came of which: each stands below its cause."""
    return h.ol(".tree")[[Markup(_caused(steps[number], depth)) for number, depth in placed]]  # noqa: S704  escaped


def _caused(step: Mapping[str, Any], depth: int) -> str:
    # Written as text: there may be hundreds.
    to = escape(at("/events/{event}", event=step["event"]))
    level = f'<span class="hidden">, at depth {depth}</span>' if depth else ""
    sign = f'<span aria-hidden="true">{"↳" if depth else "●"}</span>'
    return f'<li class="d{min(depth, 9)}">{sign} <a href="{to}">{escape(short(step["type"]))}</a>{level}</li>'
