"""Shows how an order stood at a moment in every service: a slider goes from one event to the next."""

from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node

from services.console import assets, elements
from services.console.asking import Ask, at
from services.console.elements import address, curl, identity, moment, money
from services.console.masked import masked, pretty
from services.console.pages.orders import wanted
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page
from services.console.wording import short, when

PATH = "/orders/{order}/instant"
NOW = "now"

pages = Pages()


@pages.page(PATH, "ledger.read")
async def show(ask: Ask) -> Page:
    """Shows the states alone, of a moment or of now."""
    order = ask.path["order"]
    found = await state(ask, order, ask.query.get("at", ""))
    asked = found and address(f"{ask.services.address('ledger')}/state", {"order": order, "at": found["at"]})
    says = (curl("operator", asked),) if asked else ()
    title = f"How order …{order[-8:]} stood"
    back = h.p[h.a(href=at("/orders/{order}", order=order))["To its whole journey"]]
    return Page(title, [masking_note(ask), states(found), back], says, status=200 if found else 404)


async def state(ask: Ask, order: str, moment: str) -> Mapping[str, Any] | None:
    """Ask how an order stood; None where nothing of it had happened by then. Raises Refused."""
    found: Mapping[str, Any] | None = await ask.found("ledger", "/state", order=order, at=moment)
    return found and {**found, "services": _masked(ask, found["services"])}


def _masked(ask: Ask, services: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the states as somebody may see them, told of by all of them what is personal in any.

    An event that does not fit a state may be of something that stands in none of them.
    """
    told = {"data": [each.get("state") for each in services], "unfit": [each.get("unfit", ()) for each in services]}
    shown = masked(ask, told)
    return [
        {**each, "state": state, "unfit": [masked(ask, event) for event in unfit]}
        for each, state, unfit in zip(services, shown["data"], shown["unfit"], strict=True)
    ]


def slider(order: str, steps: Sequence[Mapping[str, Any]], chosen: str) -> Node:
    """Show the slider over an order's events; `#states` is where it shows the states of a moment."""
    texts: dict[str, str] = {}
    for step in sorted(steps, key=lambda each: when(each["time"])):
        said = " ".join(f"{short(step['type'])}: {step['sentence']}".split())
        texts[step["time"]] = f"{texts[step['time']]} · {said}" if step["time"] in texts else said
    moments = list(texts)
    place = _place(moments, chosen)
    return h.section("#instant.panel", {"data-states": at(PATH, order=order)})[
        h.h2["How it stood at a moment"],
        h.form(".slider", action=at("/orders/{order}", order=order))[
            h.label(for_="moment")["After which event?"],
            h.input(
                "#moment",
                type="range",
                min="0",
                max=str(len(moments)),
                value=str(place),
                data_moments=" ".join(moments),
                data_texts="\n".join(texts[each] for each in moments),
                aria_describedby="moment-said",
            ),
            h.input("#at", type="hidden", name="at", value=chosen),
            h.output("#moment-said", for_="moment")[_said(moments, texts, place)],
        ],
        h.script(src=assets.url("instants.js"), type="module"),
    ]


def states(found: Mapping[str, Any] | None) -> Node:
    """Show how each service had it; those that rebuild no such thing from events are only named."""
    if found is None:
        return h.div(".empty")["Nothing of this order had happened by then, or none of it is archived any more."]
    told = [each for each in found["services"] if each["rebuilt"]]
    others = [each["service"] for each in found["services"] if not each["rebuilt"]]
    return h.div("#states-shown")[
        h.p[f"At {_clock(found['at'])}, ", moment(found["at"]), ":"],
        h.div(".columns.states")[(_service(each, found["at"]) for each in told)],
        h.p(".soft")[f"{elements.listed(others)} keep no state of an order that events tell."] if others else None,
    ]


def _service(told: Mapping[str, Any], moment_: str) -> Node:
    is_new = told["since"] is not None and when(told["since"]) == when(moment_)
    return h.section(".panel.here" if is_new else ".panel")[
        h.h3[told["service"], is_new and h.span(".mark.waits")["changes here"]],
        _state(told["state"]),
        told["since"] and h.p(".soft")["So since ", _clock(told["since"])],
        _unheard(told["unheard"]),
        [
            h.p[elements.mark(f"{short(each['type'])} does not fit: {each['why']}", elements.WRONG)]
            for each in told["unfit"]
        ],
        told["lacks"] and h.p(".soft")[h.small["Not told by events: ", told["lacks"]]],
    ]


def _unheard(events: Sequence[str]) -> Node:
    if not events:
        return None
    said = f"{elements.counted(len(events), 'event')} had happened and had not been dealt with: "
    return h.p[said, [[identity(each, at("/events/{event}", event=each), short=8), " "] for each in events]]


def _state(state_: Any) -> Node:
    if state_ is None:
        return h.p(".soft")["It knew nothing of it."]
    if not isinstance(state_, dict):
        return h.p[_value(state_)]
    return h.dl(".state")[([h.dt[name.replace("_", " ")], h.dd[_part(name, value)]] for name, value in state_.items())]


def _part(name: str, value: Any) -> Node:
    return _clock(value) if name.endswith("_at") and isinstance(value, str) else _value(value)


def _value(value: Any) -> Node:
    if value in (None, "", [], {}):
        return "–"
    match value:
        case {"amount": int(), "currency": str()}:
            return money(value)
        case bool():
            return "yes" if value else "no"
        case [{"item": _, "quantity": _}, *_] | [{"sku": _, "quantity": _}, *_]:
            return wanted([{"item": each.get("sku"), **each} for each in value], most=6)
        case [str(), *_]:
            return pretty(", ".join(map(str, value)))
        case dict() | list():
            return h.pre[pretty(value)]
    return pretty(value)


def _place(moments: Sequence[str], chosen: str) -> int:
    """Return where the slider stands: at the last event that had happened by a moment; its end is now."""
    if not chosen:
        return len(moments)
    try:
        return max(0, sum(when(each) <= when(chosen) for each in moments) - 1)
    except (ValueError, TypeError):
        return len(moments)


def _said(moments: Sequence[str], texts: Mapping[str, str], place: int) -> str:
    return NOW if place >= len(moments) else f"{_clock(moments[place])} {texts[moments[place]]}"


def _clock(text: str) -> str:
    """Write a moment to the millisecond, in UTC."""
    return when(text).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
